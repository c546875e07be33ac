// Schema of `bridges:` and `health_check:`.
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

using std::chrono::seconds;

uint32_t Number(const Value& value) {
  return static_cast<uint32_t>(std::get<uint64_t>(value));
}

std::vector<Key> HealthCheckKeys() {
  return {
      {.path = "health_check",
       .doc =
           "How bridgehead-ctrl asks the bridges that have a `health` or a `drain_state`. At "
           "first a bridge counts as up. The first check that is good, refused or answered with "
           "another status decides alone; any other failure may be one lost packet. Then it "
           "takes `fall` failures in a row to call it down, and `rise` good ones to call it up. A "
           "bridge that is down gets no new sessions (bridge_down); those it has go on, and run "
           "out if it does not come back. Nothing is moved to another bridge: a client's ufrag "
           "says which one it needs."},
      {.path = "health_check.interval",
       .type = Type::kDuration,
       .min = 1,
       .max = 3600,
       .default_text = "2s",
       .doc =
           "From the beginning of a check to that of the next one, give or take a tenth, so that "
           "the checks of many bridges do not come in bursts.",
       .set = [](Config& c, const Value& v) { c.health_check.interval = std::get<seconds>(v); }},
      {.path = "health_check.timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 60,
       .default_text = "1s",
       .doc = "A check that has no whole answer by then has failed. At most interval.",
       .set = [](Config& c, const Value& v) { c.health_check.timeout = std::get<seconds>(v); }},
      {.path = "health_check.rise",
       .type = Type::kInteger,
       .unit = "checks in a row",
       .min = 1,
       .max = 100,
       .default_text = "2",
       .doc = "Good checks until a bridge that was down is up.",
       .set = [](Config& c, const Value& v) { c.health_check.rise = Number(v); }},
      {.path = "health_check.fall",
       .type = Type::kInteger,
       .unit = "checks in a row",
       .min = 1,
       .max = 100,
       .default_text = "3",
       .doc = "Failed checks until a bridge that was up is down.",
       .source = "a participant whose bridge is silent for 8 s counts as gone: with the defaults "
                 "it is noticed within 8 s",
       .set = [](Config& c, const Value& v) { c.health_check.fall = Number(v); }},
  };
}

}  // namespace

std::vector<Key> BridgeKeys() {
  std::vector<Key> keys = {
      {.path = "bridges",
       .list = true,
       .min_items = 1,
       .max_items = kMaxBridges,
       .required = true,
       .doc = "The media servers behind the relay.",
       .set = [](Config& c, const Value&) { c.bridges.emplace_back(); }},
      {.path = "bridges[].name",
       .type = Type::kName,
       .required = true,
       .doc = "What listeners, counters and metrics call it. Names of bridges must differ.",
       .set = [](Config& c, const Value& v) { c.bridges.back().name = std::get<std::string>(v); }},
      {.path = "bridges[].address",
       .type = Type::kAddress,
       .required = true,
       .doc = "Where it receives media. Not an address of a listener, of nat_addresses or of "
              "outbound.",
       .set = [](Config& c, const Value& v) { c.bridges.back().address = std::get<Address>(v); }},
      {.path = "bridges[].ufrag_prefix",
       .type = Type::kUfragPrefix,
       .default_note = "none: not known",
       .doc =
           "What the ICE ufrags of the bridge begin with, as its own configuration says "
           "(videobridge.ice.ufrag-prefix of a Jitsi Videobridge, which needs a value of its own "
           "on each bridge). A client's first packet names the ufrag, and so the bridge. Of the "
           "bridges of one listener none may have a prefix that another one's begins with: a "
           "Jitsi Videobridge goes on with digits 0-9a-v, so jvb1 and jvb12 are ambiguous, jvb1/ "
           "and jvb12/ are not. A bridge with a prefix gets no client with another ufrag "
           "(stun_unknown_ufrag).",
       .source = "RFC 8839 section 5.4 (ice-char), RFC 8445 section 7.2.2 (USERNAME)",
       .set = [](Config& c,
                 const Value& v) { c.bridges.back().ufrag_prefix = std::get<std::string>(v); }},
      {.path = "bridges[].health",
       .type = Type::kHealthUrl,
       .default_note = "none: not checked, always up",
       .doc =
           "Where bridgehead-ctrl asks whether the bridge lives: see health_check. "
           "http://ADDRESS:PORT/PATH is good when the answer's status is 2xx; redirects are not "
           "followed. A Jitsi Videobridge has /about/health, on 127.0.0.1:8080 unless "
           "videobridge.http-servers.private.host says otherwise. stun:ADDRESS:PORT is good when a "
           "Binding Request is answered by a STUN message of its transaction, be it an error: for "
           "STUN and TURN servers such as coturn. A Jitsi Videobridge's media port answers only "
           "requests that name a ufrag of its own, so there it would always fail. Nor can it be a "
           "port that a listener in destination NAT, or of octo:, leads to: what comes from there "
           "is media, and never reaches bridgehead-ctrl.",
       .source = "RFC 8489 section 6.3 (answers), RFC 7064 (stun:)",
       .set = [](Config& c, const Value& v) { c.bridges.back().health = std::get<CheckUrl>(v); }},
      {.path = "bridges[].drain_state",
       .type = Type::kHttpUrl,
       .default_note = "none: the bridge is not asked",
       .doc =
           "Where the bridge says whether it is being drained; asked as often as health. A JSON "
           "object is read for the keys drain and graceful_shutdown (a Jitsi Videobridge's "
           "/colibri/drain and /colibri/stats), anything else as metrics in Prometheus' text "
           "format, for names that end in drain_mode or graceful_shutdown (its /metrics): true or "
           "not zero means draining. While it is, the bridge gets no new sessions "
           "(bridge_draining), as after `bridgehead drain`. Without a usable answer the last one "
           "holds.",
       .set = [](Config& c,
                 const Value& v) { c.bridges.back().drain_state = std::get<CheckUrl>(v); }},
  };
  for (Key& key : HealthCheckKeys()) keys.push_back(std::move(key));
  return keys;
}

}  // namespace bridgehead::config
