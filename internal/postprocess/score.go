package postprocess

import (
	"image"
	"math"
)

// score says how good a picture of a video is as its thumbnail, 0 for a black
// one: sharp ones with many edges, by the variance of the Laplacian, count more,
// and those that are neither dark nor glaring, by the mean luma.
//
// Pictures that are compared have the same size and the full range of luma
// (0 to 255, as in JPEG).
func score(p *image.YCbCr) float64 {
	mean, edges := measure(p)
	// A plain grey picture is still better than a black one.
	return exposure(mean) * (0.1 + math.Log1p(edges))
}

// exposure is 0 for black, 1 for what is well lit, and less for what is glaring.
func exposure(mean float64) float64 {
	const black, dim, bright, white = 10.0, 70.0, 190.0, 255.0
	switch {
	case mean <= black:
		return 0
	case mean < dim:
		return (mean - black) / (dim - black)
	case mean > bright:
		return 1 - 0.8*(mean-bright)/(white-bright)
	}
	return 1
}

// measure returns the mean of the luma and the variance of its Laplacian: of how
// much each sample differs from its four neighbours.
func measure(p *image.YCbCr) (mean, edges float64) {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	if w < 3 || h < 3 {
		return 0, 0
	}
	var luma, sum, squares float64
	origin := p.YOffset(p.Rect.Min.X, p.Rect.Min.Y)
	for y := 1; y < h-1; y++ {
		row := p.Y[origin+y*p.YStride:]
		above, below := p.Y[origin+(y-1)*p.YStride:], p.Y[origin+(y+1)*p.YStride:]
		for x := 1; x < w-1; x++ {
			l := 4*int(row[x]) - int(row[x-1]) - int(row[x+1]) - int(above[x]) - int(below[x])
			luma += float64(row[x])
			sum += float64(l)
			squares += float64(l * l)
		}
	}
	n := float64((w - 2) * (h - 2))
	return luma / n, max(0, squares/n-(sum/n)*(sum/n))
}
