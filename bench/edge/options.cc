#include "bench/edge/options.h"

#include <CLI/CLI.hpp>

#include "bench/edge/sockets.h"

namespace bridgehead::edge_load {

namespace {

void AddEndpoint(CLI::App& app, const std::string& name, sockaddr_in* endpoint,
                 const std::string& doc) {
  app.add_option_function<std::string>(
         name,
         [name, endpoint](const std::string& text) {
           if (!ParseEndpoint(text, endpoint)) {
             throw CLI::ValidationError(name, "got " + text + ", expected IPv4:PORT");
           }
         },
         doc)
      ->required()
      ->type_name("IPv4:PORT");
}

CLI::App* AddClient(CLI::App& app, Options& options, const std::string& name,
                    const std::string& doc) {
  ClientOptions& client = options.hold.client;
  CLI::App* command = app.add_subcommand(name, doc);
  AddEndpoint(*command, "--to", &client.to, "the proxy");
  command->add_option("--server-name", client.server_name, "SNI and Host")->required();
  command->add_option("--connections", client.connections)
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--sources", client.sources, "loopback addresses that clients come from")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  return command;
}

void AddMeasured(CLI::App& app, Options& options, const std::string& name, const std::string& doc) {
  CLI::App* command = AddClient(app, options, name, doc);
  command->add_option("--seconds", options.seconds, "length of the measurement")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--warmup", options.warmup_seconds, "seconds of load before it")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  command->add_option("--watch", options.processes, "processes of the proxy")->delimiter(',');
}

void AddHold(CLI::App& app, HoldOptions& hold, Options& options) {
  CLI::App* command =
      AddClient(app, options, "hold", "WebSockets that stay open until standard input ends");
  command
      ->add_option("--message-interval", hold.message_interval,
                   "seconds between messages of one WebSocket; 0: none")
      ->check(CLI::Range(0.0, 3600.0));
  command->add_option("--open-seconds", hold.open_seconds, "to open all of them")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  command->add_option("--max-seconds", hold.max_seconds, "to hold them")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
}

}  // namespace

std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code) {
  CLI::App app{"Clients and origin for measuring a TLS reverse proxy; prints JSON"};
  Options options;
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--core", options.core, "core to run on; any unless set");
  CLI::App* origin = app.add_subcommand("origin", "the server behind the proxy");
  AddEndpoint(*origin, "--http", &options.origin.http, "listens for HTTP and WebSockets");
  AddEndpoint(*origin, "--stream", &options.origin.stream, "sends without end to whoever comes");
  AddMeasured(app, options, "requests", "keep-alive requests");
  AddMeasured(app, options, "handshakes", "connections with a full handshake and one request");
  AddMeasured(app, options, "resumptions", "the same, but sessions are resumed");
  AddMeasured(app, options, "download", "large responses");
  AddMeasured(app, options, "tunnel", "a stream in a tunnel that the proxy decrypts");
  AddMeasured(app, options, "pass", "a stream in a tunnel that begins with a ClientHello");
  AddMeasured(app, options, "messages", "WebSocket messages that are echoed");
  AddHold(app, options.hold, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  options.what = app.get_subcommands().front()->get_name();
  options.hold.client.tls = options.what != "pass";
  options.hold.client.resume = options.what == "resumptions";
  return options;
}

}  // namespace bridgehead::edge_load
