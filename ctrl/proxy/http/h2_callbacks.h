// What nghttp2 calls, and how it is set up: the same for all connections.
#pragma once

#include <nghttp2/nghttp2.h>

#include "ctrl/proxy/http/h2_connection.h"

namespace bridgehead::proxy {

struct H2Callbacks {
  // Null: no memory. The first frames, which say the limits, are queued in it.
  static nghttp2_session* NewSession(H2Connection& connection, bool websocket);

  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* header, void* self);
  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value, uint8_t, void* self);
  static int OnInvalidHeader(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf*,
                             nghttp2_rcbuf*, uint8_t, void* self);
  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* self);
  static int OnInvalidFrame(nghttp2_session* session, const nghttp2_frame* frame, int, void* self);
  static int OnData(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* self);
  static int OnStreamClose(nghttp2_session* session, int32_t id, uint32_t error, void* self);
  static int OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* self);
  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                      nghttp2_data_source* source, void* self);
};

}  // namespace bridgehead::proxy
