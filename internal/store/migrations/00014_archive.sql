-- owner: archive
-- +goose Up
-- What happened. at is the event's time in ms, but never later than when it was
-- kept; about the video, stream or channel, "-" when none is known; size what the
-- row takes in bytes, about; body the envelope with task tokens masked.
CREATE TABLE archive_events (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    source TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    about TEXT NOT NULL,
    size BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- With source and type, so that counting and sorting out by them reads no bodies.
CREATE INDEX archive_events_at ON archive_events (at, id, source, detail_type);
CREATE INDEX archive_events_about ON archive_events (about, at, id);

-- One row: how much there is, kept in step by whoever adds and deletes events.
CREATE TABLE archive_totals (
    id BIGINT PRIMARY KEY,
    events BIGINT NOT NULL,
    size BIGINT NOT NULL
);

INSERT INTO archive_totals (id, events, size) VALUES (1, 0, 0);

-- Replays. cursor_at and cursor_id are the place of the last event that was
-- looked at: they move in the transaction that queues the deliveries.
CREATE TABLE archive_replays (
    id TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL,
    rule_name TEXT NOT NULL,
    pattern TEXT NOT NULL,
    from_at BIGINT NOT NULL,
    to_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    cursor_at BIGINT NOT NULL,
    cursor_id TEXT NOT NULL,
    events BIGINT NOT NULL,
    looked_at BIGINT NOT NULL,
    matched BIGINT NOT NULL,
    queued BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL
);

CREATE INDEX archive_replays_created_at ON archive_replays (created_at, id);
CREATE INDEX archive_replays_state ON archive_replays (state, ended_at);

-- owner: rules
-- event is the event's id. event_id is by what deliveries of a rule are told
-- apart, and is the same for those of events as they happen; one that is replayed
-- has the replay's id behind it, so that each replay delivers an event anew.
ALTER TABLE rule_deliveries ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE rule_deliveries ADD COLUMN replay TEXT NOT NULL DEFAULT '';
UPDATE rule_deliveries SET event = event_id;
CREATE INDEX rule_deliveries_event ON rule_deliveries (event);

-- +goose Down
DROP INDEX rule_deliveries_event;
ALTER TABLE rule_deliveries DROP COLUMN replay;
ALTER TABLE rule_deliveries DROP COLUMN event;

-- owner: archive
DROP TABLE archive_replays;
DROP TABLE archive_totals;
DROP TABLE archive_events;
