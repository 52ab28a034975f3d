-- owner: channel
-- +goose Up
-- The channel of an account that is deleted stays as a tombstone, without its key
-- and its name: news of it that comes late must not make it anew.
ALTER TABLE channels ADD COLUMN closed_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE channels DROP COLUMN closed_at;
