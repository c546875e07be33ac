#include "ctrl/proxy/operations.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

void Fill(const SessionInfo& from, api::EdgeConnection& to) {
  to.set_kind(from.kind);
  to.set_listener(from.listener);
  to.set_client(from.client.text());
  to.set_upstream(from.upstream);
  to.set_server(from.server);
  to.set_route(from.route);
  to.set_bytes_to_server(from.bytes_to_server);
  to.set_bytes_to_client(from.bytes_to_client);
  to.set_age_seconds(static_cast<uint64_t>(from.age.count()));
}

// What is wrong with a name that was asked for; empty: nothing.
template <typename Item>
std::string Unknown(const char* option, const std::string& name, const std::vector<Item>& items) {
  if (name.empty()) return "";
  std::string names;
  for (const Item& item : items) {
    if (item.name == name) return "";
    names += (names.empty() ? "" : ", ") + item.name;
  }
  return fmt::format("{}: got {}, expected one of: {}", option, name, names);
}

// By listener (empty: of requests), host, route and source.
using Sums = std::map<std::tuple<std::string, std::string, std::string, std::string>, SourceUse>;

void FillBusiest(const Sums& sums, bool requests, size_t most,
                 google::protobuf::RepeatedPtrField<api::EdgeSource>& to) {
  std::vector<const Sums::value_type*> found;
  for (const auto& sum : sums) {
    if (std::get<0>(sum.first).empty() == requests) found.push_back(&sum);
  }
  // Who holds connections is in the way now; of requests those that were too many count.
  std::stable_sort(found.begin(), found.end(), [requests](const auto* a, const auto* b) {
    const SourceUse &of_a = a->second, &of_b = b->second;
    return requests ? std::tie(of_a.refused, of_a.used) > std::tie(of_b.refused, of_b.used)
                    : std::tie(of_a.used, of_a.refused) > std::tie(of_b.used, of_b.refused);
  });
  if (found.size() > most) found.resize(most);
  for (const auto* sum : found) {
    api::EdgeSource& source = *to.Add();
    std::tie(*source.mutable_listener(), *source.mutable_host(), *source.mutable_route(),
             *source.mutable_source()) = sum->first;
    source.set_used(sum->second.used);
    source.set_refused(sum->second.refused);
  }
}

}  // namespace

void AskConnections(Surveys& surveys, const Workers& workers, const config::Edge& edge,
                    const api::CtrlConnectionsQuery& query,
                    std::function<void(const api::CtrlConnections&)> done) {
  const size_t limit = std::min(query.limit(), kMaxListed);
  SessionFilter filter{query.listener(), query.upstream(), {}};
  if (!query.client().empty()) filter.client = config::Address::FromBytes(query.client());
  auto answer = std::make_shared<api::CtrlConnections>();
  auto finish = [answer, limit, done = std::move(done),
                 error = Unknown("--listener", query.listener(), edge.listeners) +
                         Unknown("--upstream", query.upstream(), edge.upstreams)](size_t silent) {
    auto& all = *answer->mutable_connections();
    answer->set_more(static_cast<size_t>(all.size()) > limit);
    if (answer->more())
      all.DeleteSubrange(static_cast<int>(limit), all.size() - static_cast<int>(limit));
    answer->set_silent_workers(static_cast<uint32_t>(silent));
    if (all.empty()) answer->set_error(error);
    done(*answer);
  };
  const uint64_t survey = surveys.Begin(workers.size(), std::move(finish));
  for (const auto& worker : workers) {
    worker->Run([&surveys, survey, filter, answer, limit](Worker& asked) {
      // One more than is shown says that there are more.
      auto part = std::make_shared<std::vector<SessionInfo>>(asked.Describe(limit + 1, filter));
      surveys.Answer(survey, [answer, part] {
        for (const SessionInfo& session : *part) Fill(session, *answer->add_connections());
      });
    });
  }
}

void AskSources(Surveys& surveys, const Workers& workers, const api::CtrlSourcesQuery& query,
                std::function<void(const api::CtrlSources&)> done) {
  const size_t limit = std::min(query.limit(), kMaxSources);
  auto sums = std::make_shared<Sums>();
  auto finish = [sums, limit, done = std::move(done)](size_t silent) {
    api::CtrlSources answer;
    FillBusiest(*sums, /*requests=*/false, limit, *answer.mutable_by_connections());
    FillBusiest(*sums, /*requests=*/true, limit, *answer.mutable_by_requests());
    answer.set_silent_workers(static_cast<uint32_t>(silent));
    done(answer);
  };
  const uint64_t survey = surveys.Begin(workers.size(), std::move(finish));
  for (const auto& worker : workers) {
    worker->Run([&surveys, survey, sums, limit](Worker& asked) {
      auto part = std::make_shared<std::vector<SourceUse>>(asked.BusiestSources(limit));
      surveys.Answer(survey, [sums, part] {
        for (const SourceUse& use : *part) {
          SourceUse& sum = (*sums)[{use.listener, use.host, use.route, use.source}];
          sum.used += use.used;
          sum.refused += use.refused;
        }
      });
    });
  }
}

}  // namespace bridgehead::proxy
