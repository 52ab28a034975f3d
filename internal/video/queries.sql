-- name: ClaimVideo :one
-- Makes the row if there is none, and locks it until the transaction ends.
INSERT INTO videos (id, channel, username, created_at, status, reason, prefix, recorded, processed,
    mp4_key, thumbnail_key, duration_ms, width, height, size, title, typed_title, tags, event_tag,
    visibility, deleted_at, swept)
VALUES ($1, $2, '', 0, 'processing', '', '', FALSE, FALSE, '', '', 0, 0, 0, 0, '', '', '[]', '', 'public', 0, FALSE)
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockVideo :one
UPDATE videos SET id = id WHERE id = $1 RETURNING *;

-- name: SaveVideo :exec
UPDATE videos SET username = $1, created_at = $2, status = $3, reason = $4, prefix = $5, recorded = $6,
    processed = $7, mp4_key = $8, thumbnail_key = $9, duration_ms = $10, width = $11, height = $12,
    size = $13, title = $14, typed_title = $15, tags = $16, event_tag = $17, deleted_at = $18, swept = $19
WHERE id = $20;

-- name: Video :one
SELECT * FROM videos WHERE id = $1 AND recorded = TRUE AND deleted_at = 0;

-- name: Known :one
SELECT EXISTS (SELECT 1 FROM videos WHERE id = $1 AND (recorded = TRUE OR deleted_at > 0));

-- name: ListPublic :many
SELECT * FROM videos
WHERE status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListEvent :many
SELECT * FROM videos
WHERE event_tag = $1 AND status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListChannelPublic :many
SELECT * FROM videos
WHERE channel = $1 AND status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListChannel :many
SELECT * FROM videos
WHERE channel = $1 AND recorded = TRUE AND deleted_at = 0
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: AwaitingLifecycle :many
-- Videos whose plugins have work to do, the oldest first.
SELECT * FROM videos
WHERE status = 'processing' AND recorded = TRUE AND processed = TRUE AND deleted_at = 0
ORDER BY created_at, id LIMIT $1;

-- name: Unswept :many
-- Deleted videos whose objects may still be there.
SELECT * FROM videos WHERE deleted_at > 0 AND swept = FALSE ORDER BY deleted_at LIMIT $1;

-- name: AnyVideo :one
SELECT * FROM videos WHERE id = $1;

-- name: MarkSwept :exec
-- Blanks the tombstone: nothing of what people said stays in it. It has another
-- deleted_at when there was late news of it, and so perhaps new objects.
UPDATE videos SET swept = TRUE, username = '', reason = '', title = '', typed_title = '', tags = '[]'
WHERE id = $1 AND deleted_at = $2;
