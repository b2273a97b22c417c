// The map's own style: no tile, glyph or sprite server is asked unless the instance names a tile source.
import type { StyleSpecification } from 'maplibre-gl'
import type { MapPalette } from './palette'

// Without a glyph address MapLibre draws letters itself from the page's fonts; this is the page's own font.
export const MAP_FONT = ['Inter Variable', 'sans-serif']
const EMPTY: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] }

/** Whom to thank for the tiles: OpenStreetMap where they are its own, else the host that serves them. */
export function attributionOf(tileUrl: string): string {
  const { hostname } = new URL(tileUrl, document.baseURI)
  return hostname.includes('openstreetmap')
    ? '© <a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noreferrer">OpenStreetMap</a> contributors'
    : hostname
}

export function mapStyle(palette: MapPalette, tileUrl: string | null): StyleSpecification {
  return {
    version: 8,
    sources: {
      ...(tileUrl ? { tiles: { type: 'raster', tiles: [tileUrl], tileSize: 256, attribution: attributionOf(tileUrl) } } : {}),
      lines: { type: 'geojson', data: EMPTY, tolerance: 0.6 },
      stops: { type: 'geojson', data: EMPTY },
      vehicles: { type: 'geojson', data: EMPTY, maxzoom: 14 },
    },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': palette.ground } },
      ...(tileUrl ? [{ id: 'tiles', type: 'raster' as const, source: 'tiles', paint: { 'raster-opacity': 0.55, 'raster-saturation': -0.7 } }] : []),
      {
        id: 'lines',
        type: 'line',
        source: 'lines',
        layout: { 'line-join': 'round', 'line-cap': 'round' },
        paint: {
          'line-color': ['get', 'paint'],
          'line-width': ['interpolate', ['linear'], ['zoom'], 9, 1.2, 12, 2.2, 16, 4],
          'line-opacity': 0.42,
        },
      },
      {
        id: 'chosen-case',
        type: 'line',
        source: 'lines',
        filter: ['==', ['get', 'route_id'], ''],
        layout: { 'line-join': 'round', 'line-cap': 'round' },
        paint: { 'line-color': palette.halo, 'line-width': ['interpolate', ['linear'], ['zoom'], 9, 5, 12, 8, 16, 12] },
      },
      {
        id: 'chosen',
        type: 'line',
        source: 'lines',
        filter: ['==', ['get', 'route_id'], ''],
        layout: { 'line-join': 'round', 'line-cap': 'round' },
        paint: { 'line-color': ['get', 'paint'], 'line-width': ['interpolate', ['linear'], ['zoom'], 9, 2.6, 12, 4.2, 16, 7] },
      },
      {
        id: 'stops',
        type: 'circle',
        source: 'stops',
        minzoom: 12.4,
        paint: {
          'circle-radius': ['interpolate', ['linear'], ['zoom'], 12.4, 1.4, 16, 4],
          'circle-color': palette.stop,
          'circle-stroke-color': palette.stopEdge,
          'circle-stroke-width': 1.2,
        },
      },
      {
        id: 'stop-names',
        type: 'symbol',
        source: 'stops',
        minzoom: 14,
        layout: { 'text-field': ['get', 'name'], 'text-font': MAP_FONT, 'text-size': 11, 'text-anchor': 'left', 'text-offset': [0.8, 0], 'text-optional': true, 'text-max-width': 12 },
        paint: { 'text-color': palette.text, 'text-halo-color': palette.halo, 'text-halo-width': 1.4 },
      },
      {
        id: 'advised',
        type: 'circle',
        source: 'vehicles',
        filter: ['==', ['get', 'key'], ''],
        paint: { 'circle-radius': 15, 'circle-color': palette.advised, 'circle-opacity': 0.16, 'circle-stroke-color': palette.advised, 'circle-stroke-width': 2 },
      },
      {
        id: 'neighbours',
        type: 'circle',
        source: 'vehicles',
        filter: ['==', ['get', 'key'], ''],
        paint: { 'circle-radius': 14, 'circle-color': palette.text, 'circle-opacity': 0.06, 'circle-stroke-color': palette.text, 'circle-stroke-width': 1.2, 'circle-stroke-opacity': 0.75 },
      },
      {
        id: 'hovered',
        type: 'circle',
        source: 'vehicles',
        filter: ['==', ['get', 'key'], ''],
        paint: { 'circle-radius': 19, 'circle-color': palette.text, 'circle-opacity': 0.14, 'circle-stroke-color': palette.text, 'circle-stroke-width': 2 },
      },
      {
        id: 'vehicles',
        type: 'symbol',
        source: 'vehicles',
        layout: {
          'icon-image': ['get', 'icon'],
          'icon-rotate': ['get', 'bearing'],
          'icon-rotation-alignment': 'map',
          'icon-allow-overlap': true,
          'icon-ignore-placement': true,
          'icon-size': ['interpolate', ['linear'], ['zoom'], 9, 0.42, 11, 0.58, 13, 0.82, 15, 1],
          'symbol-sort-key': ['get', 'rank'],
        },
      },
      {
        id: 'vehicle-names',
        type: 'symbol',
        source: 'vehicles',
        minzoom: 13.2,
        layout: { 'text-field': ['get', 'name'], 'text-font': MAP_FONT, 'text-size': 11, 'text-offset': [0, 1.5], 'text-optional': true },
        paint: { 'text-color': palette.text, 'text-halo-color': palette.halo, 'text-halo-width': 1.6 },
      },
    ],
  }
}
