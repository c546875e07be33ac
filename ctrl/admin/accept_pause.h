// Gives a listener a rest when the kernel can not hand over a connection that waits, as with no
// file descriptor left: it would be told of that one again at once, and its loop would turn for
// nothing.
#pragma once

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>

#include "relay/api/log.h"

namespace bridgehead::admin {

class AcceptPause {
 public:
  static constexpr timeval kRest{1, 0};

  // Outlived by the listener. Begin is to be called from its error callback.
  AcceptPause(event_base* base, evconnlistener* listener, const char* what)
      : listener_(listener),
        what_(what),
        timer_(evtimer_new(
            base,
            [](int, short, void* self) {
              evconnlistener_enable(static_cast<AcceptPause*>(self)->listener_);
            },
            this)) {}
  ~AcceptPause() { event_free(timer_); }
  AcceptPause(const AcceptPause&) = delete;
  AcceptPause& operator=(const AcceptPause&) = delete;

  void Begin() {
    log::Warn("{}: cannot accept a client: {}", what_, strerror(errno));
    evconnlistener_disable(listener_);
    evtimer_add(timer_, &kRest);
  }

 private:
  evconnlistener* const listener_;
  const char* const what_;
  event* const timer_;
};

}  // namespace bridgehead::admin
