-- name: ClaimVideo :one
-- Makes the row if there is none, and locks it until the transaction ends.
INSERT INTO videos (id, channel, username, created_at, status, reason, prefix, recorded, processed,
    mp4_key, thumbnail_key, duration_ms, width, height, size, title, typed_title, tags, event_tag,
    visibility, deleted_at, swept)
VALUES ($1, $2, '', 0, 'processing', '', '', FALSE, FALSE, '', '', 0, 0, 0, 0, '', '', '[]', '', $3, 0, FALSE)
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockVideo :one
UPDATE videos SET id = id WHERE id = $1 RETURNING *;

-- name: SaveVideo :exec
UPDATE videos SET username = $1, created_at = $2, status = $3, reason = $4, prefix = $5, recorded = $6,
    processed = $7, mp4_key = $8, thumbnail_key = $9, duration_ms = $10, width = $11, height = $12,
    size = $13, title = $14, typed_title = $15, tags = $16, event_tag = $17, deleted_at = $18, swept = $19,
    visibility = $20, description = $21, typed_tags = $22, failed_attempt = $23, storyboard = $24, event_typed = $25,
    transcript = $26, stored_bytes = $27
WHERE id = $28;

-- name: Video :one
SELECT * FROM videos WHERE id = $1 AND recorded = TRUE AND deleted_at = 0;

-- name: Known :one
SELECT EXISTS (SELECT 1 FROM videos WHERE id = $1 AND (recorded = TRUE OR deleted_at > 0));

-- name: ListPublic :many
SELECT * FROM videos
WHERE status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND created_at <= sqlc.arg(at) AND (created_at < sqlc.arg(at) OR id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListEvent :many
SELECT * FROM videos
WHERE event_tag = $1 AND status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND created_at <= sqlc.arg(at) AND (created_at < sqlc.arg(at) OR id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListChannelPublic :many
SELECT * FROM videos
WHERE channel = $1 AND status = 'valid' AND visibility = 'public' AND recorded = TRUE AND deleted_at = 0
    AND created_at <= sqlc.arg(at) AND (created_at < sqlc.arg(at) OR id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListChannel :many
-- Simulated videos are no owner's. Public lists have none: they are private.
SELECT * FROM videos
WHERE channel = $1 AND recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%'
    AND created_at <= sqlc.arg(at) AND (created_at < sqlc.arg(at) OR id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: AwaitingLifecycle :many
-- Videos whose plugins have work to do, the oldest first.
SELECT * FROM videos
WHERE status = 'processing' AND recorded = TRUE AND processed = TRUE AND deleted_at = 0
ORDER BY created_at, id LIMIT $1;

-- name: Unswept :many
-- Deleted videos whose objects may still be there, or there again.
SELECT id FROM videos
WHERE deleted_at > 0 AND (swept = FALSE OR sweep_again_at > 0 AND sweep_again_at <= sqlc.arg(now))
ORDER BY deleted_at LIMIT sqlc.arg(row_count);

-- name: AnyVideo :one
SELECT * FROM videos WHERE id = $1;

-- name: MarkSwept :exec
-- Blanks the tombstone: nothing of what people said stays in it. It has another
-- deleted_at when there was late news of it, and so perhaps new objects.
UPDATE videos SET swept = TRUE, sweep_again_at = $3, username = '', reason = '', title = '', typed_title = '', tags = '[]',
    description = '', typed_tags = '[]'
WHERE id = $1 AND deleted_at = $2;

-- name: SearchPublic :many
-- CROSS JOIN: SQLite reads in this order, the newest first, and stops early.
SELECT sqlc.embed(v), w.number
FROM video_search(sqlc.arg(words)) s CROSS JOIN video_words w CROSS JOIN videos v
WHERE w.number = s.rowid AND v.id = w.video_id AND s.rowid < CAST(sqlc.arg(before) AS BIGINT)
    AND v.status = 'valid' AND v.visibility = 'public' AND v.recorded = TRUE AND v.deleted_at = 0
ORDER BY s.rowid DESC LIMIT sqlc.arg(row_count);

-- name: SearchChannel :many
SELECT sqlc.embed(v), w.number
FROM video_search(sqlc.arg(words)) s CROSS JOIN video_words w CROSS JOIN videos v
WHERE w.number = s.rowid AND v.id = w.video_id AND s.rowid < CAST(sqlc.arg(before) AS BIGINT)
    AND v.channel = sqlc.arg(channel) AND v.recorded = TRUE AND v.deleted_at = 0
ORDER BY s.rowid DESC LIMIT sqlc.arg(row_count);

-- name: AddWords :exec
-- The number is the first of those that the video may have, else one above all
-- that are taken of them.
INSERT INTO video_words (number, video_id, words)
SELECT COALESCE(MAX(w.number) + 1, CAST(sqlc.arg(first) AS BIGINT)) AS number,
    CAST(sqlc.arg(video_id) AS TEXT) AS video_id, CAST(sqlc.arg(words) AS TEXT) AS words
FROM video_words w WHERE w.number >= sqlc.arg(first) AND w.number <= sqlc.arg(last);

-- name: ChangeWords :exec
UPDATE video_words SET words = sqlc.arg(words) WHERE video_id = sqlc.arg(video_id);

-- name: Words :one
SELECT words FROM video_words WHERE video_id = $1;

-- name: ForgetWords :exec
DELETE FROM video_words WHERE video_id = $1;

-- name: WithoutWords :many
-- Videos that search does not find yet: those from before there was one.
SELECT id FROM videos v
WHERE recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%' AND NOT EXISTS (SELECT 1 FROM video_words w WHERE w.video_id = v.id)
ORDER BY id LIMIT $1;

-- name: SetTranscriptWords :exec
INSERT INTO video_transcripts (video_id, words) VALUES ($1, $2)
ON CONFLICT (video_id) DO UPDATE SET words = excluded.words;

-- name: TranscriptWords :one
SELECT words FROM video_transcripts WHERE video_id = $1;

-- name: ForgetTranscriptWords :exec
DELETE FROM video_transcripts WHERE video_id = $1;

-- name: LastRecorded :many
-- What a simulation replays.
SELECT * FROM videos
WHERE recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%'
ORDER BY created_at DESC, id DESC LIMIT $1;

-- name: Simulated :many
SELECT id FROM videos WHERE id LIKE 'sim-%' ORDER BY id;

-- name: ForgetVideo :exec
DELETE FROM videos WHERE id = $1;

-- name: Deleted :one
SELECT EXISTS (SELECT 1 FROM videos WHERE id = $1 AND deleted_at > 0);

-- name: PruneTombstones :execrows
DELETE FROM videos WHERE deleted_at > 0 AND deleted_at < $1 AND swept = TRUE AND sweep_again_at = 0;

-- name: AllVideos :many
SELECT id, channel, prefix, status, created_at, recorded, processed, mp4_key, thumbnail_key, storyboard, deleted_at, swept
FROM videos WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(row_count);

-- name: Unmeasured :many
SELECT id, prefix, stored_bytes FROM videos
WHERE stored_bytes < 0 AND recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%'
    AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(row_count);

-- name: UnmeasuredOf :many
SELECT id, prefix, stored_bytes FROM videos
WHERE channel = sqlc.arg(channel) AND stored_bytes < 0 AND recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%' ORDER BY id LIMIT sqlc.arg(row_count);

-- name: SetSize :exec
-- Not of a video that may have got or lost files since it was looked at.
UPDATE videos SET stored_bytes = sqlc.arg(stored_bytes)
WHERE id = sqlc.arg(id) AND stored_bytes = sqlc.arg(seen) AND deleted_at = 0;

-- name: Retentions :many
SELECT * FROM video_retention WHERE keep_days > 0 OR keep_bytes > 0 ORDER BY channel;

-- name: Retention :one
SELECT * FROM video_retention WHERE channel = $1;

-- name: SetRetention :exec
INSERT INTO video_retention (channel, keep_days, keep_bytes, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (channel) DO UPDATE SET keep_days = excluded.keep_days, keep_bytes = excluded.keep_bytes,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by;

-- name: KeptVideos :many
-- A channel's videos, the oldest first.
SELECT id, status, created_at, stored_bytes FROM videos
WHERE channel = $1 AND recorded = TRUE AND deleted_at = 0 AND id NOT LIKE 'sim-%' ORDER BY created_at, id;

-- name: CloseChannel :exec
INSERT INTO video_closed_channels (channel, closed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: ChannelClosed :one
SELECT EXISTS (SELECT 1 FROM video_closed_channels WHERE channel = $1);

-- name: PruneClosedChannels :exec
DELETE FROM video_closed_channels WHERE closed_at < $1;

-- name: UndeletedOf :many
-- What is still there of a channel. Simulated videos are the simulator's.
SELECT id FROM videos WHERE channel = $1 AND deleted_at = 0 AND id NOT LIKE 'sim-%' ORDER BY id LIMIT $2;

-- name: RemoveRetention :exec
DELETE FROM video_retention WHERE channel = $1;
