// One participant of the demo's call: publishes camera and microphone to a Janus room and subscribes
// to everyone else in it (with ?echo=1: Janus' echo test, so that one participant alone also
// receives), or, where the bridge's address is an http one, posts its offer there and gets its own
// media back. Reports its getStats() once a second to the server this page came from, and from the start
// how far it has come; the answer says when to join the call and when to leave it.
//
// Query: name, bridge (address of its signalling), room, echo, and announced (what the bridge announces
// as its address) with public (what is put in its place).
'use strict';

const query = new URLSearchParams(location.search);
const name = query.get('name');
const connections = [];  // {role, peer, pc, times}; role 'publish', 'echo' or 'subscribe'
let failure = '';
let stage = 'opening camera';  // then 'ready', and 'signalling' until there is a connection
let allowIn;
const allowedIn = new Promise(resolve => allowIn = resolve);
let left = false;

// Janus' WebSocket protocol: each request carries a transaction, each answer repeats it. Requests to
// a plugin are acknowledged first and answered by an event later.
class Janus {
  constructor(address) {
    this.waiting = new Map();
    this.handlers = new Map();  // handle -> function(event)
    this.next = 1;
    this.socket = new WebSocket(address, 'janus-protocol');
    this.socket.onmessage = message => this.receive(JSON.parse(message.data));
    this.socket.onclose = () => fail('the signalling WebSocket closed');
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error(`no WebSocket to Janus at ${address}`));
    });
  }

  receive(message) {
    const waiter = this.waiting.get(message.transaction);
    const problem = message.error || (message.plugindata && message.plugindata.data.error_code &&
                                      {reason: message.plugindata.data.error});
    if (waiter && message.janus !== 'ack') {
      this.waiting.delete(message.transaction);
      if (problem) waiter.reject(new Error(`Janus: ${problem.reason}`));
      else waiter.resolve(message);
    } else if (message.janus === 'event' && this.handlers.has(message.sender)) {
      this.handlers.get(message.sender)(message);
    }
  }

  request(body) {
    const transaction = String(this.next++);
    this.socket.send(JSON.stringify({...body, transaction, session_id: this.session}));
    return new Promise((resolve, reject) => this.waiting.set(transaction, {resolve, reject}));
  }

  async open() {
    await this.opened;
    this.session = (await this.request({janus: 'create'})).data.id;
    setInterval(() => this.request({janus: 'keepalive'}).catch(() => {}), 25000);
  }

  async attach(plugin, onevent = () => {}) {
    const handle = (await this.request({janus: 'attach', plugin})).data.id;
    this.handlers.set(handle, onevent);
    return (body, jsep) => this.request({janus: 'message', handle_id: handle, body, jsep});
  }
}

function fail(reason) {
  if (!left && !failure) failure = reason;
}

function newConnection(role, peer) {
  // No STUN or TURN server: the only way to the bridge is the address it advertises, the relay's.
  const pc = new RTCPeerConnection({iceServers: [], bundlePolicy: 'max-bundle'});
  pc.ontrack = ({track}) => {
    if (track.kind === 'video') show(track);
  };
  const times = {};  // when ICE was in which state first
  pc.addEventListener('iceconnectionstatechange', () => {
    times[pc.iceConnectionState] = times[pc.iceConnectionState] || performance.now();
  });
  connections.push({role, peer, pc, times});
  return pc;
}

function show(track) {
  const video = document.createElement('video');
  video.autoplay = video.muted = video.playsInline = true;
  video.width = 160;
  video.srcObject = new MediaStream([track]);
  document.getElementById('others').append(video);
}

// What the bridge says, with the address that leads to it.
function reachable(description) {
  const announced = query.get('announced');
  const sdp = announced ? description.sdp.replaceAll(` ${announced} `, ` ${query.get('public')} `) :
                          description.sdp;
  return {type: description.type, sdp};
}

// Applies a local description and resolves once it holds every candidate.
async function describe(pc, description) {
  await pc.setLocalDescription(description);
  if (pc.iceGatheringState !== 'complete') {
    await new Promise(resolve => pc.addEventListener('icegatheringstatechange', () => {
      if (pc.iceGatheringState === 'complete') resolve();
    }));
  }
  return {type: pc.localDescription.type, sdp: pc.localDescription.sdp};
}

async function offer(role, media) {
  const pc = newConnection(role, '');
  for (const track of media.getTracks()) pc.addTrack(track, media);
  return {pc, jsep: await describe(pc, await pc.createOffer())};
}

async function echo(janus, media) {
  const send = await janus.attach('janus.plugin.echotest');
  const {pc, jsep} = await offer('echo', media);
  const answer = await send({audio: true, video: true, bitrate: 800000}, jsep);
  await pc.setRemoteDescription(reachable(answer.jsep));
}

async function post(address, media) {
  const {pc, jsep} = await offer('echo', media);
  const answer = await fetch(address, {method: 'POST', body: JSON.stringify(jsep)});
  await pc.setRemoteDescription(await answer.json());
}

async function subscribe(janus, room, feed) {
  const send = await janus.attach('janus.plugin.videoroom');
  const streams = [{feed: feed.id}];
  const joined = await send({request: 'join', ptype: 'subscriber', room, streams});
  const pc = newConnection('subscribe', feed.display);
  await pc.setRemoteDescription(reachable(joined.jsep));
  await send({request: 'start', room}, await describe(pc, await pc.createAnswer()));
}

async function joinRoom(janus, media) {
  const room = Number(query.get('room'));
  const known = new Set();
  const meet = publishers => {
    for (const feed of publishers || []) {
      if (known.has(feed.id)) continue;
      known.add(feed.id);
      subscribe(janus, room, feed).catch(error => fail(`subscribing to ${feed.display}: ${error.message}`));
    }
  };
  const send = await janus.attach('janus.plugin.videoroom',
                                  event => meet(event.plugindata.data.publishers));
  const joined = await send({request: 'join', ptype: 'publisher', room, display: name});
  const {pc, jsep} = await offer('publish', media);
  const published = await send({request: 'publish', bitrate: 800000}, jsep);
  await pc.setRemoteDescription(reachable(published.jsep));
  meet(joined.plugindata.data.publishers);
}

// What the report says of one connection. Losses are as RFC 3550 counts them.
async function connectionReport({role, peer, pc, times}) {
  const report = {role, peer, ice: pc.iceConnectionState, remote: '', rtt: null, out: {}, in: {}};
  report.port = 0;  // our own
  // From the first connectivity check, which is sent at once, to the answer.
  report.connecting = times.connected ? times.connected - times.checking : null;
  const stats = await pc.getStats();
  for (const item of stats.values()) {
    if (item.type === 'outbound-rtp') {
      report.out[item.kind] = {...report.out[item.kind], packets: item.packetsSent};
    } else if (item.type === 'remote-inbound-rtp') {
      report.out[item.kind] = {...report.out[item.kind], lost: item.packetsLost};
    } else if (item.type === 'inbound-rtp') {
      report.in[item.kind] = {packets: item.packetsReceived, lost: item.packetsLost,
                              frames: item.framesDecoded || 0};
    } else if (item.type === 'candidate-pair' && item.nominated && item.state === 'succeeded') {
      const remote = stats.get(item.remoteCandidateId);
      report.remote = remote ? remote.address : '';
      report.rtt = item.currentRoundTripTime;
      const local = stats.get(item.localCandidateId);
      report.port = local ? local.port : 0;
    }
  }
  return report;
}

async function report() {
  const body = {name, failure, left, stage, connections: await Promise.all(connections.map(connectionReport))};
  const answer = await fetch('/report', {method: 'POST', body: JSON.stringify(body)});
  const {join, leave: end} = await answer.json();
  if (join) allowIn();
  if (end && !left) leave();
}

let janus;

function leave() {
  left = true;
  for (const {pc} of connections) pc.close();
  connections.length = 0;
  if (janus) janus.request({janus: 'destroy'}).catch(() => {});
}

async function main() {
  setInterval(() => report().catch(() => {}), 1000);
  const media = await navigator.mediaDevices.getUserMedia(
      {audio: true, video: {width: 640, height: 360, frameRate: 20}});
  document.getElementById('self').srcObject = media;
  const bridge = query.get('bridge');
  stage = 'ready';
  await allowedIn;
  stage = 'signalling';
  if (bridge.startsWith('http')) return post(bridge, media);
  janus = new Janus(bridge);
  await janus.open();
  await (query.get('echo') === '1' ? echo(janus, media) : joinRoom(janus, media));
}

main().catch(error => fail(error.message));
