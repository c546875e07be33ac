#include "ctrl/proxy/http/h2_callbacks.h"

#include <utility>

#include "ctrl/proxy/http/request_parser.h"

namespace bridgehead::proxy {
namespace {

constexpr size_t kFrameHeader = 9;  // RFC 9113 section 4.1

H2Connection& ConnectionOf(void* self) {
  return *static_cast<H2Connection*>(self);
}

// Null: none that is open, or one that was refused.
H2Stream* StreamOf(nghttp2_session* session, int32_t id) {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

std::string_view Text(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

bool EndsStream(const nghttp2_frame& frame) {
  return (frame.hd.type == NGHTTP2_DATA || frame.hd.type == NGHTTP2_HEADERS) &&
         (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

const nghttp2_session_callbacks* Callbacks() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    if (nghttp2_session_callbacks_new(&made) != 0) return made;
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, H2Callbacks::OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, H2Callbacks::OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback2(made, H2Callbacks::OnHeader);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(made, H2Callbacks::OnInvalidHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, H2Callbacks::OnFrame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, H2Callbacks::OnInvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, H2Callbacks::OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, H2Callbacks::OnStreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, H2Callbacks::OnFrameSent);
    nghttp2_session_callbacks_set_send_data_callback(made, H2Callbacks::SendData);
    return made;
  }();
  return callbacks;
}

const nghttp2_option* Options() {
  static const nghttp2_option* const options = [] {
    nghttp2_option* made = nullptr;
    if (nghttp2_option_new(&made) != 0) return made;
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_outbound_ack(made, H2Limits::kMaxWaitingAcks);
    nghttp2_option_set_max_settings(made, H2Limits::kMaxSettings);
    nghttp2_option_set_max_continuations(made, H2Limits::kMaxContinuations);
    // The connection counts all resets; nghttp2, which counts the client's, comes after it.
    nghttp2_option_set_stream_reset_rate_limit(made, uint64_t{2} * H2Limits::kResets.burst,
                                               H2Limits::kResets.per_second);
    nghttp2_option_set_max_deflate_dynamic_table_size(made, H2Limits::kHpackTable);
    nghttp2_option_set_max_send_header_block_length(made, H2Limits::kMaxSentHead);
    return made;
  }();
  return options;
}

}  // namespace

nghttp2_session* H2Callbacks::NewSession(H2Connection& connection, bool websocket) {
  nghttp2_session* session = nullptr;
  if (Callbacks() == nullptr || Options() == nullptr ||
      nghttp2_session_server_new2(&session, Callbacks(), &connection, Options()) != 0) {
    return nullptr;
  }
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2Limits::kMaxStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2Limits::kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RequestParser::kMaxHead},
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, H2Limits::kHpackTable},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},  // RFC 8441 section 3: none is 0
  };
  const size_t count = std::size(settings) - (websocket ? 0 : 1);
  if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, count) != 0 ||
      nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                            H2Limits::kConnectionWindow) != 0) {
    nghttp2_session_del(session);
    return nullptr;
  }
  return session;
}

int H2Callbacks::OnBeginFrame(nghttp2_session* session, const nghttp2_frame_hd* header,
                              void* self) {
  const bool carries = header->type == NGHTTP2_HEADERS || header->type == NGHTTP2_CONTINUATION ||
                       (header->type == NGHTTP2_DATA && StreamOf(session, header->stream_id) &&
                        (header->length > 0 || (header->flags & NGHTTP2_FLAG_END_STREAM) != 0));
  if (!carries) ConnectionOf(self).CountEmpty();
  return 0;
}

int H2Callbacks::OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  H2Connection& connection = ConnectionOf(self);
  const int32_t id = frame->hd.stream_id;
  auto stream = std::make_unique<H2Stream>(connection, id);
  nghttp2_session_set_stream_user_data(session, id, stream.get());
  connection.streams_[id] = std::move(stream);
  return 0;
}

int H2Callbacks::OnHeader(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                          nghttp2_rcbuf* value, uint8_t, void* self) {
  H2Stream* stream = StreamOf(session, frame->hd.stream_id);
  if (stream == nullptr) return 0;
  stream->AddField(Text(name), Text(value));
  if (stream->field_bytes() > H2Limits::kMaxHeadDecoded) {
    ConnectionOf(self).Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  return 0;
}

// RFC 9113 section 8.1.1. Without this, nghttp2 would leave out the field.
int H2Callbacks::OnInvalidHeader(nghttp2_session* session, const nghttp2_frame* frame,
                                 nghttp2_rcbuf*, nghttp2_rcbuf*, uint8_t, void*) {
  nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                            NGHTTP2_PROTOCOL_ERROR);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int H2Callbacks::OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  H2Connection& connection = ConnectionOf(self);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  // Padding is nothing too.
  if (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0 &&
      frame->hd.length <= frame->data.padlen && !EndsStream(*frame)) {
    connection.CountEmpty();
  }
  H2Stream* stream = StreamOf(session, frame->hd.stream_id);
  if (stream == nullptr) return 0;
  if (!stream->head_done()) {
    stream->HeadDone(EndsStream(*frame));
    connection.ServeSoon(*stream);
  } else if (EndsStream(*frame)) {
    stream->RequestEnded();
    connection.ServeSoon(*stream);
  }
  return 0;
}

int H2Callbacks::OnInvalidFrame(nghttp2_session* session, const nghttp2_frame* frame, int,
                                void* self) {
  // What there is a stream for is counted when that closes.
  if (StreamOf(session, frame->hd.stream_id) == nullptr) ConnectionOf(self).CountReset();
  return 0;
}

int H2Callbacks::OnData(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                        size_t size, void* self) {
  if (H2Stream* stream = StreamOf(session, id)) {
    stream->TakeBody({data, size});
    ConnectionOf(self).ServeSoon(*stream);
  }
  return 0;
}

int H2Callbacks::OnStreamClose(nghttp2_session* session, int32_t id, uint32_t error, void* self) {
  H2Connection& connection = ConnectionOf(self);
  H2Stream* stream = StreamOf(session, id);
  if (stream == nullptr) return 0;
  nghttp2_session_set_stream_user_data(session, id, nullptr);
  if (error != NGHTTP2_NO_ERROR && !stream->aborted()) connection.CountReset();
  stream->Closed(error);
  connection.ServeSoon(*stream);
  return 0;
}

int H2Callbacks::OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* self) {
  H2Connection& connection = ConnectionOf(self);
  if (frame->hd.type == NGHTTP2_DATA) {
    const size_t of_bytes = frame->hd.length / H2Limits::kBytesPerEmpty;
    connection.empty_frames_.Give(H2Limits::kEmptyPerData + static_cast<uint32_t>(of_bytes));
  }
  H2Stream* stream = StreamOf(session, frame->hd.stream_id);
  if (stream == nullptr) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS) stream->HeadSent();
  if (EndsStream(*frame)) stream->ResponseSent();
  return 0;
}

int H2Callbacks::SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                          nghttp2_data_source* source, void* self) {
  std::string& out = ConnectionOf(self).out_;
  if (out.size() >= H2Connection::kWriteBytes) return NGHTTP2_ERR_WOULDBLOCK;
  out.append(reinterpret_cast<const char*>(header), kFrameHeader);
  static_cast<H2Stream*>(source->ptr)->MoveTo(out, size);
  return 0;
}

}  // namespace bridgehead::proxy
