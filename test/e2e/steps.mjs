// What broadcasters and viewers do on the pages, and what is asked about it.
import assert from 'node:assert/strict'
import { sentSeconds } from './measure.mjs'

/** Opens the camera if need be, and waits for its picture. */
export async function preview({ page }, button = 'Go live') {
  const allow = page.getByRole('button', { name: 'Allow camera and microphone' })
  const start = page.getByRole('button', { name: button })
  await allow.or(start).first().waitFor()
  if (await allow.isVisible()) await allow.click()
  await page.waitForFunction(() => document.querySelector('.stage video')?.videoWidth > 0)
  return start
}

/** Opens the camera if need be, and goes live. */
export async function goLive(studio) {
  const start = await preview(studio)
  await studio.shoot('preview')
  await start.click()
  await connected(studio)
}

export function connected({ page }) {
  return page.getByTestId('connection').filter({ hasText: 'Connected' }).waitFor()
}

/** Waits until the broadcast has lasted so many seconds. */
export function onAirFor({ page }, seconds) {
  return page.waitForFunction((wanted) => {
    const [m, s] = (document.querySelector('[role=timer]')?.textContent ?? '0:0').split(':').map(Number)
    return m * 60 + s >= wanted
  }, seconds)
}

/** Stops, and returns the seconds of media that each connection of the broadcast sent. */
export async function stopBroadcast({ page }) {
  await page.getByRole('button', { name: 'Stop broadcast' }).click()
  await page.getByRole('button', { name: 'End broadcast' }).click()
  await page.getByTestId('summary').waitFor()
  return sentSeconds(page)
}

/** Waits for what becomes of the recording, and returns its id. */
export async function ended({ page }, status) {
  await page.locator(`[data-testid=summary][data-status=${status}]`).waitFor({ timeout: 90_000 })
  const href = await page.locator('[data-testid=summary] a[href^="/my/videos/"]').getAttribute('href')
  return href.split('/').at(-1)
}

export function api(page, path) {
  return page.evaluate((p) => fetch(p).then((r) => r.json()), path)
}

/** Plays the MP4 of a video by itself, and compares its length with the seconds that were sent. */
export async function checkMP4(page, video, sent, within) {
  const mp4 = await playMP4(page, video.playbackURL)
  assert.ok(Math.abs(mp4.duration - sent) <= within, `the MP4 is ${mp4.duration} s long, ${sent} s were sent`)
  assert.ok(Math.abs(video.duration / 1000 - sent) <= within, `the API says ${video.duration} ms, ${sent} s were sent`)
  assert.ok(mp4.frames > 0 && mp4.time > 0.5, 'the MP4 plays')
  return mp4
}

/** Plays an MP4 by itself for a second. */
function playMP4(page, url) {
  return page.evaluate(
    (source) =>
      new Promise((done, failed) => {
        const video = document.createElement('video')
        video.muted = true
        video.src = source
        video.onerror = () => failed(new Error(`the MP4 does not play: ${video.error?.message}`))
        video.ontimeupdate = () => {
          if (video.currentTime < 1) return
          video.ontimeupdate = null
          done({ duration: video.duration, time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames })
          video.remove()
        }
        document.body.append(video)
        void video.play()
      }),
    url,
  )
}

export async function signIn({ page }, url, { email, password }, next) {
  await page.goto(`${url}/signin?next=${encodeURIComponent(next)}`)
  await page.getByLabel('E-mail').fill(email)
  await page.getByRole('textbox', { name: 'Password' }).fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL('**' + next)
}

export function showControls({ page }) {
  return page.locator('media-controller').hover()
}

/** Chooses how the live picture comes, by its title in the player's settings. */
export async function chooseDelay(viewer, title) {
  await showControls(viewer)
  await viewer.page.getByRole('button', { name: 'Playback settings' }).click()
  const dialog = viewer.page.getByRole('dialog', { name: 'Playback settings' })
  await dialog.getByText(title).click()
  await viewer.shoot(`settings-${title.split(' ')[0].toLowerCase()}`)
  await viewer.page.keyboard.press('Escape')
}

/** Waits until the player has a picture that comes by "hls" or "webrtc". */
export function playing({ page }, way, options) {
  return page.waitForFunction(
    (byWebRTC) => {
      const video = document.querySelector('media-controller video')
      return video && Boolean(video.srcObject) === byWebRTC && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0
    },
    way === 'webrtc',
    options,
  )
}
