// Why a message is refused: one entry each, with the status that the client gets (RFC 9110 section
// 15) and the words for logs.
//
// Of a response from an upstream the status is always 502, whatever the reason.
#pragma once

#include <cstdint>
#include <string_view>

namespace bridgehead::proxy {

// clang-format off
#define BRIDGEHEAD_HTTP_REFUSALS(X)                                                              \
  /* Bytes of a head, as they come. */                                                           \
  X(kBareLf,            400, "LF without CR")                                                    \
  X(kBareCr,            400, "CR without LF")                                                    \
  X(kControl,           400, "control character")                                                \
  X(kFolded,            400, "folded line")                                                      \
  X(kEmptyName,         400, "field without a name")                                             \
  X(kSpaceInName,       400, "space in or behind a field's name")                                \
  X(kBadName,           400, "field's name is no token, or has no colon behind it")              \
  X(kTooManyFields,     431, "too many fields")                                                  \
  X(kHeadTooLong,       431, "head too long")                                                    \
  /* The first line. */                                                                          \
  X(kTargetTooLong,     414, "target too long")                                                  \
  X(kBadRequestLine,    400, "request line is not METHOD TARGET HTTP/x.y")                       \
  X(kBadStatusLine,     502, "status line is not HTTP/1.x CODE [REASON]")                        \
  X(kVersion,           505, "neither HTTP/1.1 nor HTTP/1.0")                                    \
  X(kMethod,            501, "method is not supported")                                          \
  X(kBadTarget,         400, "target holds what none may")                                       \
  X(kTargetForm,        400, "form of target is not for this method")                            \
  /* Fields. */                                                                                  \
  X(kNoHost,            400, "no Host")                                                          \
  X(kSeveralHosts,      400, "several Host")                                                     \
  X(kBadHost,           400, "Host is no host[:port]")                                           \
  X(kHostDiffers,       400, "Host is not that of the target")                                   \
  X(kSeveral,           400, "field twice of which there is one")                                \
  X(kAlias,             400, "field's name stands for another one")                              \
  X(kBadLength,         400, "Content-Length is no number")                                      \
  X(kLengthConflict,    400, "Content-Length twice, or with Transfer-Encoding")                  \
  X(kBadTransferCoding, 400, "Transfer-Encoding twice, empty, or with something behind chunked") \
  X(kTransferCoding,    501, "transfer coding other than chunked alone")                         \
  X(kUnframed,          400, "Transfer-Encoding where none may be")                              \
  X(kBadConnection,     400, "Connection is no list of options")                                 \
  X(kExpectation,       417, "Expect is not 100-continue")                                       \
  X(kBadUpgrade,        400, "upgrade that is no WebSocket handshake")                           \
  X(kWebSocketVersion,  426, "WebSocket version is not 13")                                      \
  X(kTokeniser,         400, "llhttp refuses it")                                                \
  /* Bodies. */                                                                                  \
  X(kChunkSize,         400, "chunk's size is no number")                                        \
  X(kChunkExtension,    400, "chunk extension")                                                  \
  X(kChunkEnd,          400, "chunk does not end where its size says")                           \
  X(kTrailersTooLong,   431, "trailers too long or too many")                                    \
  /* Responses. */                                                                               \
  X(kUnasked101,        502, "101 to what asked for no upgrade")                                 \
  X(kTooManyInterim,    502, "too many responses of 1xx")
// clang-format on

enum class Refusal : uint8_t {
  kNone,
#define BRIDGEHEAD_X(name, status, text) name,
  BRIDGEHEAD_HTTP_REFUSALS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
};

// Of kNone: 200.
uint16_t StatusOf(Refusal refusal);
// A few words, as in the list.
std::string_view TextOf(Refusal refusal);

}  // namespace bridgehead::proxy
