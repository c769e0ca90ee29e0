// Java's HttpClient, and HttpURLConnection for what its URI doesn't take. `java Client.java` compiles it.
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.zip.GZIPInputStream;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class Client {
    static final int BIG = 10 << 20;
    static final SSLContext trust = trusting(System.getenv("SSL_CERT_FILE"));
    static final HttpClient client = HttpClient.newBuilder().sslContext(trust).followRedirects(HttpClient.Redirect.NORMAL).build();

    // A runtime has authorities of its own, in a format of its own: those of a file are put there by hand.
    static SSLContext trusting(String file) {
        try {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            int n = 0;
            for (var c : CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(file))))) {
                store.setCertificateEntry("ca" + n++, c);
            }
            var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, factory.getTrustManagers(), null);
            return context;
        } catch (Exception e) {
            throw new RuntimeException(e);
        }
    }

    static HttpRequest.Builder to(String url) {
        return HttpRequest.newBuilder(URI.create(url));
    }

    static String text(HttpRequest r) throws Exception {
        return client.send(r, BodyHandlers.ofString()).body();
    }

    static String text(String url) throws Exception {
        return text(to(url).build());
    }

    static void done(String name, boolean ok, Object got) {
        String said = String.valueOf(got);
        System.out.println(ok ? "ok " + name : "WRONG " + name + " " + said.substring(0, Math.min(200, said.length())));
    }

    static String old(String url) throws Exception {
        var c = (HttpURLConnection) new URL(url).openConnection();
        if (c instanceof HttpsURLConnection secure) {
            secure.setSSLSocketFactory(trust.getSocketFactory());
        }
        try (InputStream in = c.getInputStream()) {
            return new String(in.readAllBytes());
        }
    }

    static void all(String secure, String plain, String both, String six) throws Exception {
        String[][] hosts = {{"https", secure}, {"http", plain}, {"both", both}, {"six", six}};
        for (String[] h : hosts) {
            String got = text(h[1] + "/hello");
            done(h[0], got.equals("hello from " + URI.create(h[1]).getHost()), got);
        }
        for (String[] h : new String[][] {{"", secure}, {"http-", plain}}) {
            String base = h[1];
            String got = text(base + "/redirect");
            done(h[0] + "redirect", got.equals("hello from other.example"), got);
            int n = client.send(to(base + "/big").build(), BodyHandlers.ofByteArray()).body().length;
            done(h[0] + "down", n == BIG, n);
            got = text(to(base + "/take").POST(HttpRequest.BodyPublishers.ofByteArray(new byte[BIG])).build());
            done(h[0] + "up", got.equals("took " + BIG), got);
            got = text(base + "/chunks");
            done(h[0] + "chunks", got.startsWith("chunk 0\n") && got.endsWith("chunk 4\n"), got);
            var packed = client.send(to(base + "/gzip").header("Accept-Encoding", "gzip").build(), BodyHandlers.ofInputStream());
            got = new String(new GZIPInputStream(packed.body()).readAllBytes());
            done(h[0] + "gzip", got.equals("small"), got);
            got = old(base + "/query?a=1;b=%zz&c");
            done(h[0] + "query", got.equals("/query?a=1;b=%zz&c"), got);
            List<CompletableFuture<HttpResponse<String>>> many = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                many.add(client.sendAsync(to(base + "/hello").build(), BodyHandlers.ofString()));
            }
            int right = 0;
            for (var one : many) {
                right += one.get().body().startsWith("hello from ") ? 1 : 0;
            }
            done(h[0] + "fifty", right == 50, right);
            got = text(base + "/events");
            done(h[0] + "events", got.split("data: ", -1).length == 6, got);
        }
        var versions = new ArrayList<String>();
        for (String base : List.of(secure, plain)) {
            versions.add(client.send(to(base + "/version").build(), BodyHandlers.ofString()).body());
        }
        done("http2", versions.get(0).equals("HTTP/2.0"), versions);
        done("http-http2", versions.get(1).equals("HTTP/1.1"), versions); // it offers HTTP/2, which is declined
    }

    static void idle(int seconds, List<String> bases) throws Exception {
        var kept = new ArrayList<String>();
        for (String base : bases) {
            kept.add(text(base + "/connection"));
        }
        Thread.sleep(seconds * 1000L);
        var again = new ArrayList<String>();
        for (String base : bases) {
            again.add(text(base + "/connection"));
        }
        done("idle", kept.equals(again), kept + " " + again);
    }

    static void hold(String url) throws Exception {
        client.send(to(url).build(), BodyHandlers.ofLines()).body().forEach(line -> System.out.println("holds"));
    }

    static void get(String url) throws Exception {
        System.out.println(text(url));
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
            case "all" -> all(a[1], a[2], a[3], a[4]);
            case "idle" -> idle(Integer.parseInt(a[1]), List.of(a[2], a[3]));
            case "hold" -> hold(a[1]);
            case "get" -> get(a[1]);
            default -> throw new IllegalArgumentException(a[0]);
        }
    }
}
