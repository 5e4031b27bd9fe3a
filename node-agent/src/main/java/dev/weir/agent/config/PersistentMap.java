package dev.weir.agent.config;

import java.util.Arrays;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * An immutable hash map whose changed copies share all but the path to the change: a hash array
 * mapped trie (Bagwell, "Ideal Hash Trees", 2001) of 32-way nodes. A view of 10,000 Services and
 * 100,000 endpoints thus changes by a few hundred bytes, and the old view stays whole for whoever
 * still reads it. Five bits of the hash choose at each level; below the last level equal hashes
 * share a list.
 */
final class PersistentMap<K, V> {
  private static final int BITS = 5;
  private static final int LAST_SHIFT = 30;
  private static final PersistentMap<?, ?> EMPTY =
      new PersistentMap<>(new Node(0, new Object[0]), 0);

  /**
   * For each set bit of {@code present}, in order, one slot: an {@link Entry}, or a deeper {@link
   * Node}. Below the last level {@code present} is meaningless and all slots are entries.
   */
  private static final class Node {
    private final int present;
    private final Object[] slots;

    Node(int present, Object[] slots) {
      this.present = present;
      this.slots = slots;
    }
  }

  private record Entry(int hash, Object key, Object value) {}

  private final Node root;
  private final int size;

  private PersistentMap(Node root, int size) {
    this.root = root;
    this.size = size;
  }

  @SuppressWarnings("unchecked") // An empty map holds no K and no V.
  static <K, V> PersistentMap<K, V> empty() {
    return (PersistentMap<K, V>) EMPTY;
  }

  int size() {
    return size;
  }

  @SuppressWarnings("unchecked") // Only with() writes, and it takes K and V.
  @Nullable V get(Object key) {
    int hash = spread(key.hashCode());
    Node node = root;
    for (int shift = 0; shift <= LAST_SHIFT; shift += BITS) {
      int bit = 1 << (hash >>> shift & 31);
      if ((node.present & bit) == 0) {
        return null;
      }
      Object slot = node.slots[Integer.bitCount(node.present & bit - 1)];
      if (slot instanceof Entry entry) {
        return entry.hash == hash && entry.key.equals(key) ? (V) entry.value : null;
      }
      node = (Node) slot;
    }
    for (Object slot : node.slots) {
      if (((Entry) slot).key.equals(key)) {
        return (V) ((Entry) slot).value;
      }
    }
    return null;
  }

  PersistentMap<K, V> with(K key, V value) {
    Entry entry = new Entry(spread(key.hashCode()), key, value);
    boolean grows = get(key) == null;
    Node changed = put(root, entry, 0);
    return new PersistentMap<>(changed, grows ? size + 1 : size);
  }

  PersistentMap<K, V> without(Object key) {
    if (get(key) == null) {
      return this;
    }
    Node changed = remove(root, key, spread(key.hashCode()), 0);
    return changed == null ? empty() : new PersistentMap<>(changed, size - 1);
  }

  @SuppressWarnings("unchecked") // As in get.
  void forEach(BiConsumer<? super K, ? super V> visitor) {
    visit(root, (BiConsumer<Object, Object>) visitor);
  }

  private static void visit(Node node, BiConsumer<Object, Object> visitor) {
    for (Object slot : node.slots) {
      if (slot instanceof Entry entry) {
        visitor.accept(entry.key, entry.value);
      } else {
        visit((Node) slot, visitor);
      }
    }
  }

  private static Node put(Node node, Entry entry, int shift) {
    if (shift > LAST_SHIFT) {
      for (int i = 0; i < node.slots.length; i++) {
        if (((Entry) node.slots[i]).key.equals(entry.key)) {
          return new Node(0, replaced(node.slots, i, entry));
        }
      }
      return new Node(0, inserted(node.slots, node.slots.length, entry));
    }
    int bit = 1 << (entry.hash >>> shift & 31);
    int index = Integer.bitCount(node.present & bit - 1);
    if ((node.present & bit) == 0) {
      return new Node(node.present | bit, inserted(node.slots, index, entry));
    }
    Object slot = node.slots[index];
    Object next;
    if (slot instanceof Node child) {
      next = put(child, entry, shift + BITS);
    } else {
      Entry there = (Entry) slot;
      next =
          there.hash == entry.hash && there.key.equals(entry.key)
              ? entry
              : pair(there, entry, shift + BITS);
    }
    return new Node(node.present, replaced(node.slots, index, next));
  }

  private static Node pair(Entry one, Entry other, int shift) {
    if (shift > LAST_SHIFT) {
      return new Node(0, new Object[] {one, other});
    }
    int oneAt = one.hash >>> shift & 31;
    int otherAt = other.hash >>> shift & 31;
    if (oneAt == otherAt) {
      return new Node(1 << oneAt, new Object[] {pair(one, other, shift + BITS)});
    }
    Object[] slots = oneAt < otherAt ? new Object[] {one, other} : new Object[] {other, one};
    return new Node(1 << oneAt | 1 << otherAt, slots);
  }

  /** The node without a key that it holds; null where nothing is left. */
  private static @Nullable Node remove(Node node, Object key, int hash, int shift) {
    if (shift > LAST_SHIFT) {
      for (int i = 0; i < node.slots.length; i++) {
        if (((Entry) node.slots[i]).key.equals(key)) {
          return node.slots.length == 1 ? null : new Node(0, deleted(node.slots, i));
        }
      }
      return node;
    }
    int bit = 1 << (hash >>> shift & 31);
    int index = Integer.bitCount(node.present & bit - 1);
    if (node.slots[index] instanceof Node child) {
      Node left = remove(child, key, hash, shift + BITS);
      if (left != null) {
        // A lone entry moves up, so that a map that shrinks gives its nodes back.
        Object slot = left.slots.length == 1 && left.slots[0] instanceof Entry lone ? lone : left;
        return new Node(node.present, replaced(node.slots, index, slot));
      }
    }
    return node.slots.length == 1
        ? null
        : new Node(node.present & ~bit, deleted(node.slots, index));
  }

  private static Object[] replaced(Object[] slots, int index, Object value) {
    Object[] copy = slots.clone();
    copy[index] = value;
    return copy;
  }

  private static Object[] inserted(Object[] slots, int index, Object value) {
    Object[] copy = Arrays.copyOf(slots, slots.length + 1);
    System.arraycopy(slots, index, copy, index + 1, slots.length - index);
    copy[index] = value;
    return copy;
  }

  private static Object[] deleted(Object[] slots, int index) {
    Object[] copy = Arrays.copyOf(slots, slots.length - 1);
    System.arraycopy(slots, index + 1, copy, index, slots.length - index - 1);
    return copy;
  }

  /** Addresses of one subnet differ in few bits, and in the low ones only. */
  private static int spread(int hash) {
    int mixed = hash * 0x9e3779b9;
    return mixed ^ mixed >>> 15;
  }
}
