// The relay's counter segment, reopened whenever a relay has made a new one. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "relay/api/counters.h"

namespace bridgehead::admin {

class CounterSource {
 public:
  explicit CounterSource(std::string path) : path_(std::move(path)) {}

  // The last totals of an ended relay too, until the next one replaces them. Error: no relay has
  // run here, or one of another version.
  absl::StatusOr<CounterTotals> Read() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!reader_ || reader_->Stale()) {
      absl::StatusOr<std::unique_ptr<CounterReader>> reader = CounterReader::Open(path_);
      if (!reader.ok()) {
        reader_.reset();
        return reader.status();
      }
      reader_ = *std::move(reader);
    }
    return reader_->Read();
  }

 private:
  const std::string path_;
  std::mutex mutex_;
  std::unique_ptr<CounterReader> reader_;
};

}  // namespace bridgehead::admin
