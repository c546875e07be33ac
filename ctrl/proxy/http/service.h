// What the HTTP layer needs of the worker it runs on.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/client_info.h"
#include "ctrl/proxy/http/downstream.h"
#include "ctrl/proxy/log/access_record.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/route/rate_table.h"
#include "ctrl/proxy/route/site.h"
#include "ctrl/proxy/session.h"
#include "ctrl/proxy/upstream/group.h"

namespace bridgehead::proxy {

class HttpService : public SessionOwner {
 public:
  // What the listener serves now; null: it is gone, and so is what it served.
  virtual std::shared_ptr<LoopSite> SiteOf(const config::EdgeListener& listener) = 0;
  virtual RateTable& rates() = 0;
  // For requests of no host; null: they are not logged.
  virtual std::shared_ptr<LogFile> log() = 0;
  // Ends `session`, whose client goes on as a tunnel. `to_server`: what the client has sent
  // already; `head`: what is to be sent to it before anything of the server's.
  virtual void StartTunnel(Session& session, const ClientInfo& client,
                           std::unique_ptr<Stream> stream, std::string_view to_server,
                           std::string_view head, TunnelPlan plan) = 0;
  // A stream of HTTP/2 has become a tunnel, beside the session that its connection is.
  virtual void AddTunnel(const ClientInfo& client, std::unique_ptr<Stream> stream,
                         TunnelPlan plan) = 0;

 protected:
  ~HttpService() = default;
};

}  // namespace bridgehead::proxy
