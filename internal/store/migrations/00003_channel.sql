-- owner: channel
-- +goose Up
CREATE TABLE channels (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    key_sealed BYTEA NOT NULL,
    live BOOLEAN NOT NULL,
    live_stream_id TEXT NOT NULL,
    live_since BIGINT NOT NULL,
    last_ended_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX channels_created_at ON channels (created_at, id);
CREATE INDEX channels_live ON channels (live, live_since, id);

-- +goose Down
DROP TABLE channels;
