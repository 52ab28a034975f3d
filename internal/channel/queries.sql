-- name: Insert :execrows
INSERT INTO channels (id, username, key_hash, key_sealed, live, live_stream_id, live_since, last_ended_id, epoch, created_at)
VALUES ($1, $2, $3, $4, FALSE, '', 0, '', 0, $5)
ON CONFLICT (id) DO NOTHING;

-- name: Close :execrows
-- Makes the channel a tombstone, or begins with one: its beginning may be heard of
-- after its end.
INSERT INTO channels (id, username, key_hash, key_sealed, live, live_stream_id, live_since, last_ended_id, epoch, created_at, closed_at)
VALUES ($1, '', $2, $3, FALSE, '', 0, '', 0, $4, $4)
ON CONFLICT (id) DO UPDATE SET username = '', key_hash = excluded.key_hash, key_sealed = excluded.key_sealed,
    live = FALSE, live_stream_id = '', live_since = 0, closed_at = excluded.closed_at
WHERE channels.closed_at = 0;

-- name: PruneClosed :exec
DELETE FROM channels WHERE closed_at > 0 AND closed_at < $1;

-- name: Get :one
SELECT * FROM channels WHERE id = $1 AND closed_at = 0;

-- name: ByKey :one
SELECT * FROM channels WHERE key_hash = $1 AND closed_at = 0;

-- name: All :many
SELECT * FROM channels WHERE closed_at = 0 ORDER BY created_at, id;

-- name: Newest :many
SELECT * FROM channels
WHERE closed_at = 0 AND (created_at < $1 OR (created_at = $1 AND id < $2))
ORDER BY created_at DESC, id DESC
LIMIT $3;

-- name: Live :many
SELECT * FROM channels
WHERE live = TRUE AND (live_since < $1 OR (live_since = $1 AND id < $2))
ORDER BY live_since DESC, id DESC
LIMIT $3;

-- name: SetKey :execrows
UPDATE channels SET key_hash = $1, key_sealed = $2 WHERE id = $3 AND closed_at = 0;

-- name: RaiseEpoch :one
UPDATE channels SET epoch = epoch + 1 WHERE id = $1 AND closed_at = 0 RETURNING epoch;

-- Writes only over the state that was read: of two events at once one is heard
-- again.
-- name: SetLive :execrows
UPDATE channels
SET live = $1, live_stream_id = $2, live_since = $3, last_ended_id = $4
WHERE id = $5 AND live_stream_id = $6 AND last_ended_id = $7 AND closed_at = 0;
