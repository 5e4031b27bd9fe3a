package dev.weir.agent.identity;

import java.net.Socket;
import java.security.KeyStore;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.KeyManagerFactorySpi;
import javax.net.ssl.ManagerFactoryParameters;
import javax.net.ssl.X509KeyManager;
import org.jspecify.annotations.Nullable;

/**
 * Hands one key over to BoringSSL and then forgets it. Netty's cache of key material asks for it at
 * a context's first handshake and keeps the native copy; after that only the name is asked for.
 */
final class OneKey implements X509KeyManager {
  private static final String ALIAS = "own";

  private final X509Certificate[] chain;
  private volatile @Nullable PrivateKey key;

  OneKey(PrivateKey key, X509Certificate[] chain) {
    this.key = key;
    this.chain = chain.clone();
  }

  void forget() {
    key = null;
  }

  KeyManagerFactory factory() {
    return new Factory(this);
  }

  @Override
  public @Nullable PrivateKey getPrivateKey(String alias) {
    return key;
  }

  @Override
  public X509Certificate[] getCertificateChain(String alias) {
    return chain.clone();
  }

  @Override
  public String chooseClientAlias(
      String[] kinds, Principal @Nullable [] issuers, @Nullable Socket socket) {
    return ALIAS;
  }

  @Override
  public String chooseServerAlias(
      String kind, Principal @Nullable [] issuers, @Nullable Socket socket) {
    return ALIAS;
  }

  @Override
  public String[] getClientAliases(String kind, Principal @Nullable [] issuers) {
    return new String[] {ALIAS};
  }

  @Override
  public String[] getServerAliases(String kind, Principal @Nullable [] issuers) {
    return new String[] {ALIAS};
  }

  private static final class Factory extends KeyManagerFactory {
    Factory(OneKey only) {
      super(
          new KeyManagerFactorySpi() {
            @Override
            protected void engineInit(@Nullable KeyStore store, char @Nullable [] password) {
              throw new UnsupportedOperationException("it has its key already");
            }

            @Override
            protected void engineInit(ManagerFactoryParameters parameters) {
              throw new UnsupportedOperationException("it has its key already");
            }

            @Override
            protected KeyManager[] engineGetKeyManagers() {
              return new KeyManager[] {only};
            }
          },
          new Provider("weir-own", "1", "one key") {
            private static final long serialVersionUID = 1;
          },
          "own");
    }
  }
}
