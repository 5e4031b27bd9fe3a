package dev.weir.cli.check;

/** A feature with the state it was found in; the hint is empty where there is nothing to do. */
public record Feature(
    String code, String group, String name, boolean required, Finding finding, String hint) {
  public boolean stands() {
    return finding.state() != Finding.State.MISSING;
  }
}
