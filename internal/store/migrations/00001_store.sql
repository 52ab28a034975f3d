-- owner: store
-- +goose Up
CREATE TABLE outbox (
    seq TEXT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
);

CREATE TABLE receipts (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    result TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, name)
);

CREATE INDEX receipts_created_at ON receipts (created_at);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE leases;
DROP TABLE receipts;
DROP TABLE outbox;
