-- owner: streaming
-- +goose Up
CREATE TABLE streams (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    node TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    state TEXT NOT NULL,
    prefix TEXT NOT NULL,
    recorded BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX streams_of_node ON streams (node, state);
CREATE INDEX streams_of_channel ON streams (channel, started_at);

-- +goose Down
DROP TABLE streams;
