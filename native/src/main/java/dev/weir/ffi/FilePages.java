package dev.weir.ffi;

/** This process's pages of files that it maps for its whole life. */
public interface FilePages {
  /**
   * Takes every such page out of this process's memory; one that is touched again comes back from
   * the page cache, as cheaply as a page is mapped. Only mappings of 1 MiB and more are looked at,
   * of real files, that nothing may be written to and nothing was: shared libraries' code and
   * caches of classes. Those are never unmapped, so nothing else can stand in their place.
   *
   * @return how many bytes of them were resident
   */
  long release();
}
