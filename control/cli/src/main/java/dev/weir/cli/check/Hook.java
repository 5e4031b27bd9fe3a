package dev.weir.cli.check;

/** Where Weir's programs attach, in the kernel's numbers (linux/bpf.h). */
enum Hook {
  CONNECT4(18, 10),
  CONNECT6(18, 11),
  SENDMSG4(18, 14),
  SENDMSG6(18, 15),
  RECVMSG4(18, 19),
  RECVMSG6(18, 20),
  GETPEERNAME4(18, 29),
  GETPEERNAME6(18, 30),
  SOCKOPS(13, 3),
  SK_MSG(16, 7),
  TCX_INGRESS(3, 46),
  TCX_EGRESS(3, 47);

  final int programType;
  final int attachType;

  Hook(int programType, int attachType) {
    this.programType = programType;
    this.attachType = attachType;
  }
}
