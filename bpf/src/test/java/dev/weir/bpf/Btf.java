package dev.weir.bpf;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The structs and enums in an ELF object's {@code .BTF} section: as much as holds layouts to it.
 */
final class Btf {
  record Member(String name, int offsetBytes) {}

  record Struct(int bytes, Map<String, Member> members) {}

  private static final int STRUCT = 4;
  private static final int ENUM = 6;

  private final Map<String, Struct> structs = new HashMap<>();
  private final Map<String, Integer> constants = new HashMap<>();

  Btf(byte[] elf) {
    ByteBuffer btf = section(elf, ".BTF");
    int header = btf.getInt(4);
    int types = header + btf.getInt(8);
    int typesEnd = types + btf.getInt(12);
    int strings = header + btf.getInt(16);
    for (int at = types; at < typesEnd; ) {
      String name = text(btf, strings + btf.getInt(at));
      int info = btf.getInt(at + 4);
      int size = btf.getInt(at + 8);
      int kind = (info >>> 24) & 0x1f;
      int count = info & 0xffff;
      at += 12;
      if (kind == STRUCT) {
        Map<String, Member> members = new HashMap<>();
        for (int i = 0; i < count; i++) {
          String member = text(btf, strings + btf.getInt(at + 12 * i));
          members.put(member, new Member(member, (btf.getInt(at + 12 * i + 8) & 0xffffff) / 8));
        }
        structs.put(name, new Struct(size, members));
      } else if (kind == ENUM) {
        for (int i = 0; i < count; i++) {
          constants.put(text(btf, strings + btf.getInt(at + 8 * i)), btf.getInt(at + 8 * i + 4));
        }
      }
      at += tail(kind, count);
    }
  }

  /** How many bytes follow the common part of a type, by kind (Documentation/bpf/btf.rst). */
  private static int tail(int kind, int count) {
    return switch (kind) {
      case 1, 14, 17 -> 4; // INT, VAR, DECL_TAG
      case 3 -> 12; // ARRAY
      case STRUCT, 5, 15, 19 -> 12 * count; // and UNION, DATASEC, ENUM64
      case ENUM, 13 -> 8 * count; // and FUNC_PROTO
      default -> 0;
    };
  }

  private static ByteBuffer section(byte[] elf, String wanted) {
    ByteBuffer file = ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN);
    long headers = file.getLong(40);
    int size = file.getShort(58);
    int count = file.getShort(60);
    List<Integer> starts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      starts.add((int) headers + i * size);
    }
    int names = (int) file.getLong(starts.get(file.getShort(62)) + 24);
    for (int start : starts) {
      if (text(file, names + file.getInt(start)).equals(wanted)) {
        return file.slice((int) file.getLong(start + 24), (int) file.getLong(start + 32))
            .order(ByteOrder.LITTLE_ENDIAN);
      }
    }
    throw new IllegalArgumentException("no section " + wanted);
  }

  private static String text(ByteBuffer from, int at) {
    int end = at;
    while (from.get(end) != 0) {
      end++;
    }
    byte[] bytes = new byte[end - at];
    from.get(at, bytes);
    return new String(bytes, US_ASCII);
  }

  Struct struct(String name) {
    Struct struct = structs.get(name);
    if (struct == null) {
      throw new IllegalArgumentException("the object's BTF has no struct " + name);
    }
    return struct;
  }

  /** A struct's bytes, read and written by member names. */
  Value value(String struct, byte[] bytes) {
    return new Value(struct(struct), struct, ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()));
  }

  Value empty(String struct) {
    return value(struct, new byte[struct(struct).bytes()]);
  }

  int constant(String name) {
    Integer value = constants.get(name);
    if (value == null) {
      throw new IllegalArgumentException("the object's BTF has no constant " + name);
    }
    return value;
  }

  record Value(Struct struct, String name, ByteBuffer bytes) {
    private int at(String member) {
      Member found = struct.members().get(member);
      if (found == null) {
        throw new IllegalArgumentException("struct %s has no %s".formatted(name, member));
      }
      return found.offsetBytes();
    }

    int u16(String member) {
      return bytes.getShort(at(member)) & 0xffff;
    }

    int u32(String member) {
      return bytes.getInt(at(member));
    }

    long u64(String member) {
      return bytes.getLong(at(member));
    }

    byte[] address(String member) {
      byte[] address = new byte[16];
      bytes.get(at(member), address);
      return address;
    }

    Value with8(String member, int value) {
      bytes.put(at(member), (byte) value);
      return this;
    }

    Value with16(String member, int value) {
      bytes.putShort(at(member), (short) value);
      return this;
    }

    Value with32(String member, int value) {
      bytes.putInt(at(member), value);
      return this;
    }

    Value with64(String member, long value) {
      bytes.putLong(at(member), value);
      return this;
    }

    Value with(String member, byte[] value) {
      bytes.put(at(member), value);
      return this;
    }

    byte[] array() {
      return bytes.array();
    }
  }
}
