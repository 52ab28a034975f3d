// uPlot, in a chunk of its own that is fetched only where a curve is drawn.

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { kept, type Sample } from '../../lib/broadcast/feed.svelte'

export interface Sparkline {
  show(samples: readonly Sample[]): void
  destroy(): void
}

/** Draws the bitrate of the last two minutes into an element, in its colour, as wide as it is. */
export function sparkline(target: HTMLElement): Sparkline {
  const colour = () => getComputedStyle(target).color
  const plot = new uPlot(
    {
      width: target.clientWidth || 280,
      height: target.clientHeight || 48,
      padding: [4, 0, 2, 0],
      cursor: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      legend: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: false, range: (_plot, _min, max) => [max - kept, max] }, y: { range: (_plot, _min, max) => [0, Math.max(max, 100_000) * 1.15] } },
      series: [{}, { stroke: colour, width: 1.75, points: { show: false }, fill: () => colour().replace(/^rgb\((.*)\)$/, 'rgba($1, 0.14)'), spanGaps: false }],
    },
    [[], []],
    target,
  )
  const sizes = new ResizeObserver(() => plot.setSize({ width: target.clientWidth, height: target.clientHeight }))
  sizes.observe(target)
  return {
    show: (samples) => plot.setData([samples.map((sample) => sample.at), samples.map((sample) => sample.bitrate)]),
    destroy() {
      sizes.disconnect()
      plot.destroy()
    },
  }
}
