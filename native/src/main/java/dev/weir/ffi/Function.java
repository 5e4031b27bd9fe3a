package dev.weir.ffi;

/**
 * Every C function that this room calls. What it returns is told here once, so that both bindings
 * report failure alike.
 */
enum Function {
  ACCEPT4("accept4", 4, Returns.STATUS),
  BIND("bind", 3, Returns.STATUS),
  CALLOC("calloc", 2, Returns.POINTER),
  CLOSE("close", 1, Returns.STATUS),
  CONNECT("connect", 3, Returns.STATUS),
  FREE("free", 1, Returns.NOTHING),
  FSTAT("fstat", 2, Returns.STATUS),
  GETPAGESIZE("getpagesize", 0, Returns.INT),
  GETSOCKOPT("getsockopt", 5, Returns.STATUS),
  LISTEN("listen", 2, Returns.STATUS),
  MMAP("mmap", 6, Returns.LONG_STATUS),
  MOUNT("mount", 5, Returns.STATUS),
  MUNMAP("munmap", 2, Returns.STATUS),
  OPEN("open", 2, Returns.STATUS),
  POLL("poll", 3, Returns.STATUS),
  RECV("recv", 4, Returns.LONG_STATUS),
  RECVMSG("recvmsg", 3, Returns.LONG_STATUS),
  SEND("send", 4, Returns.LONG_STATUS),
  SENDMSG("sendmsg", 3, Returns.LONG_STATUS),
  SETNS("setns", 2, Returns.STATUS),
  SETSOCKOPT("setsockopt", 5, Returns.STATUS),
  SHUTDOWN("shutdown", 2, Returns.STATUS),
  SOCKET("socket", 3, Returns.STATUS),
  STATFS("statfs", 2, Returns.STATUS),
  UMOUNT2("umount2", 2, Returns.STATUS),
  UNSHARE("unshare", 1, Returns.STATUS),
  VSNPRINTF("vsnprintf", 4, Returns.INT),

  BPF_BTF_FIND("btf__find_by_name_kind", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_BTF_NAME("btf__name_by_offset", 2, Returns.ADDRESS, Library.BPF),
  BPF_BTF_TYPE("btf__type_by_id", 2, Returns.ADDRESS, Library.BPF),
  BPF_LINK_CREATE("bpf_link_create", 4, Returns.ERROR_CODE, Library.BPF),
  BPF_LINK_DETACH("bpf_link_detach", 1, Returns.ERROR_CODE, Library.BPF),
  BPF_LINK_UPDATE("bpf_link_update", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_DELETE("bpf_map_delete_elem", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_FD("bpf_map__fd", 1, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_INITIAL_VALUE("bpf_map__initial_value", 2, Returns.ADDRESS, Library.BPF),
  BPF_MAP_KEY_SIZE("bpf_map__key_size", 1, Returns.INT, Library.BPF),
  BPF_MAP_LOOKUP("bpf_map_lookup_elem", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_LOOKUP_BATCH("bpf_map_lookup_batch", 7, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_NAME("bpf_map__name", 1, Returns.ADDRESS, Library.BPF),
  BPF_MAP_NEXT_KEY("bpf_map_get_next_key", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_REUSE_FD("bpf_map__reuse_fd", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_SET_MAX_ENTRIES("bpf_map__set_max_entries", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_TYPE("bpf_map__type", 1, Returns.INT, Library.BPF),
  BPF_MAP_UPDATE("bpf_map_update_elem", 4, Returns.ERROR_CODE, Library.BPF),
  BPF_MAP_VALUE_SIZE("bpf_map__value_size", 1, Returns.INT, Library.BPF),
  BPF_OBJECT_BTF("bpf_object__btf", 1, Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_CLOSE("bpf_object__close", 1, Returns.NOTHING, Library.BPF),
  BPF_OBJECT_LOAD("bpf_object__load", 1, Returns.ERROR_CODE, Library.BPF),
  BPF_OBJECT_NEXT_MAP("bpf_object__next_map", 2, Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_NEXT_PROGRAM("bpf_object__next_program", 2, Returns.ADDRESS, Library.BPF),
  BPF_OBJECT_OPEN_MEM("bpf_object__open_mem", 3, Returns.POINTER, Library.BPF),
  BPF_OBJ_GET("bpf_obj_get", 1, Returns.ERROR_CODE, Library.BPF),
  BPF_OBJ_INFO("bpf_obj_get_info_by_fd", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_OBJ_PIN("bpf_obj_pin", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_POSSIBLE_CPUS("libbpf_num_possible_cpus", 0, Returns.ERROR_CODE, Library.BPF),
  BPF_PROBE_HELPER("libbpf_probe_bpf_helper", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_PROBE_MAP_TYPE("libbpf_probe_bpf_map_type", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_PROBE_PROGRAM_TYPE("libbpf_probe_bpf_prog_type", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_FD("bpf_program__fd", 1, Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_NAME("bpf_program__name", 1, Returns.ADDRESS, Library.BPF),
  BPF_PROGRAM_SET_AUTOLOAD("bpf_program__set_autoload", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_SET_LOG_BUFFER("bpf_program__set_log_buf", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_PROGRAM_SET_LOG_LEVEL("bpf_program__set_log_level", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_ATTACH("bpf_prog_attach", 4, Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_DETACH("bpf_prog_detach2", 3, Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_TEST_RUN("bpf_prog_test_run_opts", 2, Returns.ERROR_CODE, Library.BPF),
  BPF_PROG_LOAD("bpf_prog_load", 6, Returns.ERROR_CODE, Library.BPF),
  BPF_SET_PRINT("libbpf_set_print", 1, Returns.ADDRESS, Library.BPF),
  BPF_VERSION("libbpf_version_string", 0, Returns.ADDRESS, Library.BPF);

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
  final int arity;
  final Returns returns;
  final Library library;

  Function(String symbol, int arity, Returns returns) {
    this(symbol, arity, returns, Library.C);
  }

  Function(String symbol, int arity, Returns returns, Library library) {
    this.symbol = symbol;
    this.arity = arity;
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
