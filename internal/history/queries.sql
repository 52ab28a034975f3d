-- name: ClaimVideo :one
-- Makes the row if there is none, and locks it until the transaction ends.
INSERT INTO history_videos (id, channel, deleted_at) VALUES ($1, $2, 0)
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: BuryVideo :exec
UPDATE history_videos SET deleted_at = $1 WHERE id = $2;

-- name: VideosOf :many
-- Those of a channel that something is known of.
SELECT id FROM history_videos WHERE channel = $1 AND deleted_at = 0 ORDER BY id LIMIT $2;

-- name: KeepFact :exec
-- Of two facts of one name the weightier counts, then the earlier, then the one
-- that sorts first: whichever comes first, the same one stays.
INSERT INTO history_facts (video_id, name, happened_at, weight, detail) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (video_id, name) DO UPDATE
SET happened_at = excluded.happened_at, weight = excluded.weight, detail = excluded.detail
WHERE excluded.weight > history_facts.weight
    OR excluded.weight = history_facts.weight AND (excluded.happened_at < history_facts.happened_at
        OR excluded.happened_at = history_facts.happened_at AND excluded.detail < history_facts.detail);

-- name: Facts :many
SELECT * FROM history_facts WHERE video_id = $1;

-- name: Channel :one
SELECT channel FROM history_videos WHERE id = $1;

-- name: ForgetFacts :exec
DELETE FROM history_facts WHERE video_id = $1;

-- name: ClaimTask :one
INSERT INTO history_tasks (token_hash, video_id, hook, plugin, answered_at, answer, noted_at)
VALUES ($1, '', '', '', 0, '', $2)
ON CONFLICT (token_hash) DO UPDATE SET token_hash = excluded.token_hash
RETURNING *;

-- name: SaveTask :exec
UPDATE history_tasks SET video_id = $1, hook = $2, plugin = $3, answered_at = $4, answer = $5 WHERE token_hash = $6;

-- name: CountStrays :one
SELECT count(*) FROM history_tasks WHERE video_id = '';

-- name: ForgetTasks :exec
DELETE FROM history_tasks WHERE video_id = $1;

-- name: PruneTasks :exec
DELETE FROM history_tasks WHERE noted_at < $1;

-- name: SimulatedVideos :many
SELECT id FROM history_videos WHERE id LIKE 'sim-%' ORDER BY id;

-- name: ForgetVideo :exec
DELETE FROM history_videos WHERE id = $1;

-- name: PruneTombstones :exec
DELETE FROM history_videos WHERE deleted_at > 0 AND deleted_at < $1;

-- name: CloseChannel :exec
INSERT INTO history_closed_channels (channel, closed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: ChannelClosed :one
SELECT EXISTS (SELECT 1 FROM history_closed_channels WHERE channel = $1);

-- name: PruneClosedChannels :exec
DELETE FROM history_closed_channels WHERE closed_at < $1;

-- name: VideoIDs :many
-- Those that something is known of: no tombstones.
SELECT id FROM history_videos WHERE deleted_at = 0 AND id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(row_count);

-- name: Stage :exec
-- As KeepFact, for facts that a rebuild has read.
INSERT INTO history_staged (video_id, name, channel, happened_at, weight, detail) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (video_id, name) DO UPDATE
SET happened_at = excluded.happened_at, weight = excluded.weight, detail = excluded.detail
WHERE excluded.weight > history_staged.weight
    OR excluded.weight = history_staged.weight AND (excluded.happened_at < history_staged.happened_at
        OR excluded.happened_at = history_staged.happened_at AND excluded.detail < history_staged.detail);

-- name: ClearStaged :exec
DELETE FROM history_staged;

-- name: StagedVideos :many
SELECT DISTINCT video_id FROM history_staged WHERE video_id > sqlc.arg(after) ORDER BY video_id LIMIT sqlc.arg(row_count);

-- name: Staged :many
SELECT * FROM history_staged WHERE video_id = $1;

-- name: ForgetStaged :exec
DELETE FROM history_staged WHERE video_id = $1;

-- name: ForgetFact :exec
DELETE FROM history_facts WHERE video_id = $1 AND name = $2;

-- name: AnswersOf :many
-- Answers whose invocation is known.
SELECT * FROM history_tasks WHERE video_id = $1 AND answered_at > 0;
