package dev.weir.ffi;

/**
 * Every C function that this room calls. What it returns is told here once, so that both bindings
 * report failure alike.
 */
enum Function {
  ACCEPT4("accept4", Returns.STATUS),
  BIND("bind", Returns.STATUS),
  CALLOC("calloc", Returns.POINTER),
  CLOCK_GETTIME("clock_gettime", Returns.STATUS),
  CLOSE("close", Returns.STATUS),
  CONNECT("connect", Returns.STATUS),
  EPOLL_CREATE1("epoll_create1", Returns.STATUS),
  EPOLL_CTL("epoll_ctl", Returns.STATUS),
  EPOLL_WAIT("epoll_wait", Returns.STATUS),
  FCNTL("fcntl", Returns.STATUS),
  FREE("free", Returns.NOTHING),
  FSTAT("fstat", Returns.STATUS),
  GETPAGESIZE("getpagesize", Returns.INT),
  GETSOCKOPT("getsockopt", Returns.STATUS),
  LISTEN("listen", Returns.STATUS),
  MADVISE("madvise", Returns.STATUS),
  MMAP("mmap", Returns.LONG_STATUS),
  MOUNT("mount", Returns.STATUS),
  MUNMAP("munmap", Returns.STATUS),
  OPEN("open", Returns.STATUS),
  PIPE2("pipe2", Returns.STATUS),
  POLL("poll", Returns.STATUS),
  RECV("recv", Returns.LONG_STATUS),
  RECVMSG("recvmsg", Returns.LONG_STATUS),
  SEND("send", Returns.LONG_STATUS),
  SENDMSG("sendmsg", Returns.LONG_STATUS),
  SETNS("setns", Returns.STATUS),
  SETSOCKOPT("setsockopt", Returns.STATUS),
  SHUTDOWN("shutdown", Returns.STATUS),
  SOCKET("socket", Returns.STATUS),
  SPLICE("splice", Returns.LONG_STATUS),
  STATFS("statfs", Returns.STATUS),
  SYSCALL("syscall", Returns.LONG_STATUS),
  UMOUNT2("umount2", Returns.STATUS),
  UNSHARE("unshare", Returns.STATUS),
  VSNPRINTF("vsnprintf", Returns.INT),

  BPF_BTF_FIND("btf__find_by_name_kind", Returns.ERROR_CODE, Library.BPF),
  BPF_BTF_NAME("btf__name_by_offset", Returns.ADDRESS, Library.BPF),
  BPF_BTF_TYPE("btf__type_by_id", Returns.ADDRESS, Library.BPF),
  BPF_LINK_CREATE("bpf_link_create", Returns.ERROR_CODE, Library.BPF),
  BPF_LINK_DETACH("bpf_link_detach", Returns.ERROR_CODE, Library.BPF),
  BPF_LINK_UPDATE("bpf_link_update", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_DELETE("bpf_map_delete_elem", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_FD("bpf_map__fd", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_INITIAL_VALUE("bpf_map__initial_value", Returns.ADDRESS, Library.BPF),
  BPF_MAP_KEY_SIZE("bpf_map__key_size", Returns.INT, Library.BPF),
  BPF_MAP_LOOKUP("bpf_map_lookup_elem", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_LOOKUP_AND_DELETE("bpf_map_lookup_and_delete_elem", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_LOOKUP_BATCH("bpf_map_lookup_batch", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_NAME("bpf_map__name", Returns.ADDRESS, Library.BPF),
  BPF_MAP_NEXT_KEY("bpf_map_get_next_key", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_REUSE_FD("bpf_map__reuse_fd", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_SET_MAX_ENTRIES("bpf_map__set_max_entries", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_TYPE("bpf_map__type", Returns.INT, Library.BPF),
  BPF_MAP_UPDATE("bpf_map_update_elem", Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_VALUE_SIZE("bpf_map__value_size", Returns.INT, Library.BPF),
  BPF_OBJECT_BTF("bpf_object__btf", Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_CLOSE("bpf_object__close", Returns.NOTHING, Library.BPF),
  BPF_OBJECT_LOAD("bpf_object__load", Returns.ERROR_CODE, Library.BPF),
  BPF_OBJECT_NEXT_MAP("bpf_object__next_map", Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_NEXT_PROGRAM("bpf_object__next_program", Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_OPEN_MEM("bpf_object__open_mem", Returns.POINTER, Library.BPF),
  BPF_OBJ_GET("bpf_obj_get", Returns.ERROR_CODE, Library.BPF),
  BPF_OBJ_INFO("bpf_obj_get_info_by_fd", Returns.ERROR_CODE, Library.BPF),
  BPF_OBJ_PIN("bpf_obj_pin", Returns.ERROR_CODE, Library.BPF),
  BPF_POSSIBLE_CPUS("libbpf_num_possible_cpus", Returns.ERROR_CODE, Library.BPF),
  BPF_PROBE_MAP_TYPE("libbpf_probe_bpf_map_type", Returns.ERROR_CODE, Library.BPF),
  BPF_PROBE_PROGRAM_TYPE("libbpf_probe_bpf_prog_type", Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_FD("bpf_program__fd", Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_NAME("bpf_program__name", Returns.ADDRESS, Library.BPF),
  BPF_PROGRAM_SET_AUTOLOAD("bpf_program__set_autoload", Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_SET_LOG_BUFFER("bpf_program__set_log_buf", Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_SET_LOG_LEVEL("bpf_program__set_log_level", Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_ATTACH("bpf_prog_attach", Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_DETACH("bpf_prog_detach2", Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_TEST_RUN("bpf_prog_test_run_opts", Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_LOAD("bpf_prog_load", Returns.ERROR_CODE, Library.BPF),
  BPF_SET_PRINT("libbpf_set_print", Returns.ADDRESS, Library.BPF),
  BPF_VERSION("libbpf_version_string", Returns.ADDRESS, Library.BPF);

  /** Where a function lives, by the name that the dynamic linker knows. */
  enum Library {
    C("libc.so.6", "the GNU C library"),
    BPF(
        "libbpf.so.1",
        "the package libbpf1 (Debian, Ubuntu) or libbpf (Fedora), version 1.0 or newer");

    final String file;
    final String comesFrom;

    Library(String file, String comesFrom) {
      this.file = file;
      this.comesFrom = comesFrom;
    }
  }

  /** How a function reports failure. */
  enum Returns {
    /** An int, -1 and errno on failure. */
    STATUS,
    /** A long or a pointer, -1 and errno on failure. */
    LONG_STATUS,
    /** An int, the negative errno itself on failure, as libbpf 1.x does. */
    ERROR_CODE,
    /** A pointer, NULL and errno on failure. */
    POINTER,
    /** A pointer, where NULL is an answer. */
    ADDRESS,
    /** An int that is never a failure. */
    INT,
    NOTHING
  }

  final String symbol;
  final Returns returns;
  final Library library;

  Function(String symbol, Returns returns) {
    this(symbol, returns, Library.C);
  }

  Function(String symbol, Returns returns, Library library) {
    this.symbol = symbol;
    this.returns = returns;
    this.library = library;
  }

  /**
   * Whether the answer is in errno. The register of an int function is undefined in its upper half.
   */
  boolean failed(long register) {
    return switch (returns) {
      case STATUS -> (int) register == -1;
      case LONG_STATUS -> register == -1;
      case POINTER -> register == 0;
      case ERROR_CODE, ADDRESS, INT, NOTHING -> false;
    };
  }

  /** The answer of a call that did not fail by errno. */
  long answer(long register) {
    return switch (returns) {
      case STATUS, ERROR_CODE, INT -> (int) register;
      case LONG_STATUS, POINTER, ADDRESS -> register;
      case NOTHING -> 0;
    };
  }
}
