// The part of u8-mqtt that is used here; the package has no types of its own.
declare module 'u8-mqtt/esm/web/basic-v4.js' {
  export interface PublishPacket {
    topic: string
    utf8(): string
  }

  export interface Client {
    with_websock(socket: WebSocket): Client
    connect(packet: { client_id: string; keep_alive: number; flags?: { clean_start: boolean } }): Promise<unknown>
    disconnect(): Promise<unknown>
    subscribe(packet: { topics: string[] }): Promise<unknown>
    unsubscribe(packet: { topics: string[] }): Promise<unknown>
  }

  export function mqtt_v4(options: {
    sess_stg: null
    on_live(): void
    on_disconnect(): void
    on_error(): void
    log_conn(): void
    on_mqtt_type: {
      mqtt_pkt(): void
      mqtt_pingresp(): void
      mqtt_publish(packet: PublishPacket): void
    }
  }): Client
}
