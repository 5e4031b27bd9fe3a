package dev.weir.shop;

import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** What a pod of the shop does with a request. */
sealed interface Role {
  /** The body for a path, or an exception that becomes a 502. */
  String serve(String path) throws IOException;

  /** Whom it calls. */
  default List<Upstream> upstreams() {
    return List.of();
  }

  static Role named(String name, Map<String, String> environment) {
    return switch (name) {
      case "front" ->
          new Front(
              upstream("catalog", environment),
              upstream("cart", environment),
              upstream("payments", environment),
              new AtomicLong());
      case "catalog" -> new Catalog(environment.getOrDefault("VERSION", "v1"));
      case "cart" -> new Cart(upstream("inventory", environment));
      case "inventory" -> new Inventory();
      case "payments" -> new Payments(new AtomicLong());
      default ->
          throw new IllegalArgumentException(
              "no role '"
                  + name
                  + "' (expected: front, catalog, cart, inventory, payments or load)");
    };
  }

  /**
   * By its Service's name, unless the environment says otherwise: {@code
   * CATALOG=catalog.shop:8080}.
   */
  static Upstream upstream(String service, Map<String, String> environment) {
    return new Upstream(
        environment.getOrDefault(
            service.toUpperCase(Locale.ROOT) + "_AT", service + ":" + Main.PORT));
  }

  /** The page: what is for sale, what is in the cart; every fourth visitor pays. */
  record Front(Upstream catalog, Upstream cart, Upstream payments, AtomicLong visits)
      implements Role {
    @Override
    public String serve(String path) throws IOException {
      long visit = visits.incrementAndGet();
      StringBuilder page =
          new StringBuilder(256)
              .append(catalog.get("/items"))
              .append(cart.get("/cart/" + visit % 100));
      if (visit % 4 == 0) {
        page.append(payments.get("/pay/" + visit));
      }
      return page.toString();
    }

    @Override
    public List<Upstream> upstreams() {
      return List.of(catalog, cart, payments);
    }
  }

  record Catalog(String version) implements Role {
    @Override
    public String serve(String path) {
      return "v2".equals(version)
          ? "catalog v2: teapot 19.00, kettle 35.00, cup 4.50, strainer 6.00 (new)\n"
          : "catalog v1: teapot 19.00, kettle 35.00, cup 4.50\n";
    }
  }

  record Cart(Upstream inventory) implements Role {
    @Override
    public String serve(String path) throws IOException {
      return "cart "
          + path.substring(path.lastIndexOf('/') + 1)
          + ": 1 teapot, "
          + inventory.get("/stock/teapot");
    }

    @Override
    public List<Upstream> upstreams() {
      return List.of(inventory);
    }
  }

  record Inventory() implements Role {
    @Override
    public String serve(String path) {
      return path.substring(path.lastIndexOf('/') + 1) + " in stock\n";
    }
  }

  record Payments(AtomicLong receipts) implements Role {
    @Override
    public String serve(String path) {
      return "paid, receipt " + receipts.incrementAndGet() + "\n";
    }
  }
}
