-- owner: rules
-- +goose Up
CREATE TABLE rules (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    pattern TEXT NOT NULL,
    target TEXT NOT NULL,
    url TEXT NOT NULL,
    max_tries BIGINT NOT NULL,
    secret_sealed BYTEA NOT NULL,
    old_secret_sealed BYTEA NOT NULL,
    old_secret_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX rules_created_at ON rules (created_at, id);

-- One row, raised with every change of the rules: nodes that have compiled them
-- see by it that they must do so again.
CREATE TABLE rules_version (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);

INSERT INTO rules_version (id, version) VALUES (1, 1);

CREATE TABLE rule_deliveries (
    id TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    source TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    lease TEXT NOT NULL,
    holder TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    attempts TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    UNIQUE (rule_id, event_id)
);

CREATE INDEX rule_deliveries_due ON rule_deliveries (rule_id, state, due_at);
CREATE INDEX rule_deliveries_by_state ON rule_deliveries (rule_id, state, created_at, id);
CREATE INDEX rule_deliveries_of_rule ON rule_deliveries (rule_id, created_at, id);
CREATE INDEX rule_deliveries_ended ON rule_deliveries (state, ended_at);
CREATE INDEX rule_deliveries_held ON rule_deliveries (holder);

-- +goose Down
DROP TABLE rule_deliveries;
DROP TABLE rules_version;
DROP TABLE rules;
