package publisher

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

const (
	subprotocol = "mqtt" // MQTT 3.1.1, section 6
	mqttVersion = 4      // protocol level of MQTT 3.1.1
	maxPacket   = 8 << 10
)

// broker is the MQTT server, without listeners: connections come from the
// node's own HTTP server.
type broker struct {
	cfg    Config
	server *mqtt.Server
	once   sync.Once
}

func newBroker(cfg Config) (*broker, error) {
	can := mqtt.NewDefaultServerCapabilities()
	can.MinimumProtocolVersion = mqttVersion
	can.MaximumQos = 0
	can.RetainAvailable = 0
	can.WildcardSubAvailable = 0
	can.SharedSubAvailable = 0
	can.SubIDAvailable = 0
	can.TopicAliasMaximum = 0
	can.MaximumPacketSize = maxPacket
	can.MaximumClientWritesPending = int32(min(cfg.MaxQueue, math.MaxInt32))
	server := mqtt.New(&mqtt.Options{
		Capabilities: can,
		InlineClient: true, // how the publisher itself publishes
		// What clients do wrong is no news for the operator.
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: 24 * 60 * 60, // s; nobody may hear them
	})
	b := &broker{cfg: cfg, server: server}
	if err := server.AddHook(&rules{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("publisher: MQTT: %w", err)
	}
	if err := server.Serve(); err != nil {
		return nil, fmt.Errorf("publisher: MQTT: %w", err)
	}
	return b, nil
}

func (b *broker) push(topic string, message []byte) error {
	return b.server.Publish(topic, message, false, 0)
}

func (b *broker) close() { b.once.Do(func() { _ = b.server.Close() }) }

// serveMQTT is GET /mqtt: a WebSocket of the subprotocol mqtt.
func (s *Service) serveMQTT(w http.ResponseWriter, r *http.Request) {
	if err := s.checkOrigin(r); err != nil {
		s.cfg.Fail(w, r, err)
		return
	}
	conn := &pageConn{writeDeadline: s.cfg.WriteDeadline}
	p, err := s.pages.admit(r, func() { _ = conn.Close() })
	if err != nil {
		s.cfg.Fail(w, r, err)
		return
	}
	defer s.pages.leave(p)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // checkOrigin has looked
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	conn.start(ws, p, r)
	defer func() { _ = conn.Close() }()
	if ws.Subprotocol() != subprotocol {
		_ = ws.Close(websocket.StatusPolicyViolation, "the subprotocol is mqtt")
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(s.cfg.ConnectDeadline))
	if err := s.broker.server.EstablishConnection("ws", conn); err != nil {
		s.log.Debug("publisher: an MQTT client went", "remote", r.RemoteAddr, "err", err)
	}
}

// rules are what clients may do: connect and listen.
type rules struct {
	mqtt.HookBase
	broker *broker
}

func (h *rules) ID() string { return "rules" }

func (h *rules) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnPacketRead, mqtt.OnACLCheck, mqtt.OnPublishDropped:
		return true
	}
	return false
}

// OnConnect makes what a client asks for fit what there is.
func (h *rules) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	refuse := func(code packets.Code) error {
		_ = h.broker.server.SendConnack(cl, code, false, nil) // it is closed in any case
		return code
	}
	if pk.ProtocolVersion != mqttVersion {
		return refuse(packets.ErrUnsupportedProtocolVersion)
	}
	if pk.Connect.WillFlag {
		return refuse(packets.Err3NotAuthorized) // a will is a message from outside
	}
	// Nobody takes over the session of somebody else whose client id he knows.
	cl.ID = id.New()
	// Sessions end with their connection; the answer says so to a client that
	// asked for more ("session present" is false).
	cl.Properties.Clean = true
	if most := uint16(h.broker.cfg.MaxKeepAlive / time.Second); cl.State.Keepalive == 0 || cl.State.Keepalive > most {
		cl.State.Keepalive = most
	}
	return nil
}

// OnConnectAuthenticate lets everybody in; who it is, the cookie said.
func (h *rules) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnPacketRead ends the connection of a client that does anything but listen.
func (h *rules) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Connect, packets.Unsubscribe, packets.Pingreq, packets.Disconnect:
		return pk, nil
	case packets.Subscribe:
		topics := map[string]bool{}
		for filter := range cl.State.Subscriptions.GetAll() {
			topics[filter] = true
		}
		for _, f := range pk.Filters {
			topics[f.Filter] = true
		}
		if len(topics) <= h.broker.cfg.MaxTopics {
			return pk, nil
		}
	}
	return pk, packets.ErrRejectPacket
}

// OnACLCheck is asked when a client subscribes and at each delivery.
func (h *rules) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	conn, ok := cl.Net.Conn.(*pageConn)
	return ok && !write && conn.page.mayHear(topic) == nil
}

// OnPublishDropped cuts a client whose queue is full.
func (h *rules) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) {
	cl.Stop(packets.ErrPendingClientWritesExceeded)
}

// pageConn is a page's WebSocket as a stream of bytes.
type pageConn struct {
	net.Conn
	page          *page
	remote        net.Addr
	writeDeadline time.Duration

	mu     sync.Mutex
	ws     *websocket.Conn
	closed bool
}

func (c *pageConn) start(ws *websocket.Conn, p *page, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws, c.page, c.remote = ws, p, remote(r.RemoteAddr)
	c.Conn = websocket.NetConn(r.Context(), ws, websocket.MessageBinary)
	if c.closed {
		_ = ws.CloseNow()
	}
}

// Write waits for a slow reader no longer than the deadline. The server only
// logs a write that failed; here it ends the connection.
func (c *pageConn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(c.writeDeadline))
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// SetDeadline is the keep-alive (MQTT 3.1.1, 3.1.2.10): for what is read. What
// is written has its own.
func (c *pageConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *pageConn) RemoteAddr() net.Addr { return c.remote }

// Close ends the connection at once: a closing handshake would wait for the
// peer.
func (c *pageConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.ws == nil {
		return nil // start will close it
	}
	err := c.ws.CloseNow()
	_ = c.Conn.Close() // stops its timers
	return err
}

type remote string

func (r remote) Network() string { return "websocket" }
func (r remote) String() string  { return string(r) }
