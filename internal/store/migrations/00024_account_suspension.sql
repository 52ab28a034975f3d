-- owner: account
-- +goose Up
-- Somebody who is suspended may not sign in, nor broadcast; why is told to them.
ALTER TABLE users ADD COLUMN suspended_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN suspended_why TEXT NOT NULL DEFAULT '';

CREATE INDEX users_created_at ON users (created_at, id);

-- +goose Down
DROP INDEX users_created_at;
ALTER TABLE users DROP COLUMN suspended_why;
ALTER TABLE users DROP COLUMN suspended_at;
