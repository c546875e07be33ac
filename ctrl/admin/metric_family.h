// How metrics.cc and edge_metrics.cc write families down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

namespace bridgehead::admin {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;
using Families = std::vector<MetricFamily>;

inline constexpr MetricType kCounter = MetricType::Counter;
inline constexpr MetricType kGauge = MetricType::Gauge;

// One family in the making.
class Family {
 public:
  Family(Families& families, MetricType type, const std::string& name, const std::string& help)
      : families_(families), index_(families.size()) {
    MetricFamily& family = families.emplace_back();
    family.name = "bridgehead_" + name;
    family.help = help;
    family.type = type;
  }
  Family& Add(Labels labels, double value) {
    MetricFamily& family = families_[index_];
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    return *this;
  }

 private:
  Families& families_;  // where others begin while this one is in the making
  const size_t index_;
};

inline double Number(uint64_t value) {
  return static_cast<double>(value);
}

}  // namespace bridgehead::admin
