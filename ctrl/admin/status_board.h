// The latest CtrlStatus, handed from the event loop to the admin server's threads.
#pragma once

#include <mutex>
#include <utility>

#include "relay/api/relay.pb.h"

namespace bridgehead::admin {

class StatusBoard {
 public:
  void Set(api::CtrlStatus status) {
    std::lock_guard<std::mutex> lock(mutex_);
    status_ = std::move(status);
  }
  api::CtrlStatus Get() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  api::CtrlStatus status_;
};

}  // namespace bridgehead::admin
