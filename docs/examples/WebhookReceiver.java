import static java.nio.charset.StandardCharsets.UTF_8;
import com.sun.net.httpserver.*;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Receives the webhooks of Asper Wallet, in Java 17 or later without any library.
 *
 *   PORT=5051 WEBHOOK_SECRET=whsec_... java docs/examples/WebhookReceiver.java
 *
 * The secret is shown once, when the endpoint is made with POST /v1/webhook-endpoints. Requests are signed after
 * https://www.standardwebhooks.com. Put it behind something that ends TLS; it listens to its own machine alone.
 */
public class WebhookReceiver {
  static final int BODY_BYTES_MAX = 1024 * 1024, TOLERANCE_SECONDS = 300, IDS_MAX = 10_000, THREADS = 10;
  static final byte[] SECRET = Base64.getDecoder().decode(env("WEBHOOK_SECRET", "").replaceFirst("^whsec_", ""));
  /**
   * Events come at least once: again where an answer was lost, or where somebody asked for a replay. In earnest these
   * ids are a unique column in your database, written in the same transaction as what you do with the event: in memory
   * they are forgotten at a restart, and written apart from it one of the two is lost in a crash.
   */
  static final Set<String> seen = new LinkedHashSet<>();

  /** What to do with an event. Where it throws, the answer is 500, and the wallet sends the event again. */
  static void handle(String id, String event) {
    // Java has no JSON of its own; take your library for more than this: the first "type" is the event's.
    System.out.println(event.split("\"type\":\"", 2)[1].split("\"", 2)[0] + " " + id);
  }

  /** One at a time: the same event may come twice in the same moment. */
  static synchronized void handleOnce(String id, byte[] body) {
    if (seen.contains(id)) return;
    handle(id, new String(body, UTF_8));
    seen.add(id); // not before: what failed has to be handled when it comes again
    if (seen.size() > IDS_MAX) seen.remove(seen.iterator().next()); // the oldest
  }

  static int statusAfter(HttpExchange exchange) throws Exception {
    if (!exchange.getRequestMethod().equals("POST")) return 405;
    // The bytes as they came, since they are what is signed: the same JSON written anew may differ.
    byte[] body = exchange.getRequestBody().readNBytes(BODY_BYTES_MAX + 1);
    if (body.length > BODY_BYTES_MAX) return 413;
    String id = header(exchange, "webhook-id"), timestamp = header(exchange, "webhook-timestamp");
    // Whoever has recorded a request cannot send it again when its id has long been forgotten.
    if (!timestamp.matches("[0-9]{1,12}")) return 401;
    if (Math.abs(System.currentTimeMillis() / 1_000 - Long.parseLong(timestamp)) > TOLERANCE_SECONDS) return 401;
    var mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
    mac.update((id + "." + timestamp + ".").getBytes(UTF_8));
    byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(UTF_8);
    // One must be right; there are several while a secret is replaced. In constant time: equals() tells of a guess.
    var given = Arrays.stream(header(exchange, "webhook-signature").split(" "));
    if (given.noneMatch(signature -> MessageDigest.isEqual(expected, signature.getBytes(UTF_8)))) return 401;
    handleOnce(id, body);
    return 204;
  }

  public static void main(String[] arguments) throws IOException {
    if (SECRET.length < 24) throw new Error("WEBHOOK_SECRET must be the whsec_... of the endpoint"); // or all can sign
    System.setProperty("sun.net.httpserver.maxReqTime", "10"); // seconds: nobody holds a thread by sending slowly
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(env("PORT", "5051"))), 0);
    server.setExecutor(Executors.newFixedThreadPool(THREADS));
    server.createContext("/", exchange -> {
      int status = 500;
      try {
        status = statusAfter(exchange);
      } catch (Exception error) {
        error.printStackTrace();
      }
      if (status == 405) exchange.getResponseHeaders().set("allow", "POST");
      exchange.sendResponseHeaders(status, -1);
      exchange.close();
    });
    server.start();
    System.out.println("listening on " + server.getAddress().getPort());
    Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1))); // SIGTERM; requests have a second
  }

  static String header(HttpExchange exchange, String name) {
    return Objects.requireNonNullElse(exchange.getRequestHeaders().getFirst(name), "");
  }
  static String env(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }
}
