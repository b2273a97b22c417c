// The map itself, as an object that is told what to show; it knows nothing of the page around it.
import { AttributionControl, Map as MapLibre, NavigationControl, setWorkerUrl, type ExpressionSpecification, type GeoJSONSource } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import 'maplibre-gl/dist/maplibre-gl.css'
import { shortId, type Fleet } from '../data/derive'
import { colorOf } from '../data/modes'
import type { Theme } from '../data/store'
import type { HeadwayState, MapData } from '../data/types'
import { drawIcons, ICON_RATIO, iconName } from './icons'
import { lineColor, PALETTES } from './palette'
import { mapStyle } from './style'

setWorkerUrl(new URL(workerUrl, document.baseURI).href)

// Drawn last is drawn on top: what needs attention covers what does not.
const RANK: Record<HeadwayState, number> = { unknown: 0, regular: 1, long: 2, short: 2, gapped: 3, bunched: 4 }
const DIM = 0.22
const CARD = { width: 312, height: 370 } // pixels, with its margins

/** What the map's own buttons are called. */
export interface FleetMapWords {
  map: string
  zoomIn: string
  zoomOut: string
}

export interface FleetMapHandlers {
  onVehicle: (key: string | null) => void
  onHover: (key: string | null) => void
}

interface VehicleProperties {
  key: string
  name: string
  route: string
  icon: string
  bearing: number
  rank: number
}

export class FleetMap {
  readonly map: MapLibre
  private network: MapData | null = null
  private fleet: Fleet | null = null
  private chosen: string | null = null
  private marked: string | null = null
  private neighbours: string[] = []
  private advised: string[] = []
  private loaded = false
  private zoom: NavigationControl | null = null
  private attribution: AttributionControl | null = null
  private words: FleetMapWords | null = null

  constructor(
    container: HTMLElement,
    private theme: Theme,
    private tileUrl: string | null,
    handlers: FleetMapHandlers,
    animated: boolean,
  ) {
    this.map = new MapLibre({
      container,
      style: mapStyle(PALETTES[theme], tileUrl),
      center: [30.52, 50.45],
      zoom: 10,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      fadeDuration: animated ? 200 : 0,
      maxPitch: 0,
    })
    this.map.touchZoomRotate.disableRotation()
    this.attribute()
    this.map.on('style.load', () => this.dress())
    this.map.on('click', (event) => {
      const near = this.map.queryRenderedFeatures(
        [[event.point.x - 6, event.point.y - 6], [event.point.x + 6, event.point.y + 6]],
        { layers: ['vehicles'] },
      )
      handlers.onVehicle((near[0]?.properties['key'] as string | undefined) ?? null)
    })
    this.map.on('mousemove', 'vehicles', (event) => {
      this.map.getCanvas().style.cursor = 'pointer'
      handlers.onHover((event.features?.[0]?.properties['key'] as string | undefined) ?? null)
    })
    this.map.on('mouseleave', 'vehicles', () => {
      this.map.getCanvas().style.cursor = ''
      handlers.onHover(null)
    })
  }

  /** Puts everything known on a fresh style: at the start and after a change of theme. */
  private dress(): void {
    this.loaded = true
    for (const { name, image } of drawIcons(PALETTES[this.theme])) {
      if (!this.map.hasImage(name)) this.map.addImage(name, image, { pixelRatio: ICON_RATIO })
    }
    this.drawNetwork()
    this.drawFleet()
    this.drawChoice()
  }

  /** Names the map and its buttons anew; MapLibre reads its words only when a control is added. */
  setWords(words: FleetMapWords): void {
    if (words === this.words) return
    this.words = words
    Object.assign(this.map._locale, {
      'Map.Title': words.map,
      'NavigationControl.ZoomIn': words.zoomIn,
      'NavigationControl.ZoomOut': words.zoomOut,
    })
    this.map.getCanvas().setAttribute('aria-label', words.map)
    if (this.zoom) this.map.removeControl(this.zoom)
    this.zoom = new NavigationControl({ showCompass: false })
    this.map.addControl(this.zoom, 'top-right')
  }

  /** Tiles are somebody's work and say whose; without them nothing on the map is. */
  private attribute(): void {
    if (this.tileUrl && !this.attribution) {
      this.attribution = new AttributionControl({ compact: false })
      this.map.addControl(this.attribution, 'bottom-right')
    } else if (!this.tileUrl && this.attribution) {
      this.map.removeControl(this.attribution)
      this.attribution = null
    }
  }

  setTheme(theme: Theme, tileUrl: string | null): void {
    if (theme === this.theme && tileUrl === this.tileUrl) return
    this.theme = theme
    this.tileUrl = tileUrl
    this.loaded = false
    this.attribute()
    this.map.setStyle(mapStyle(PALETTES[theme], tileUrl), { diff: false })
  }

  setNetwork(network: MapData): void {
    const first = this.network === null
    this.network = network
    this.drawNetwork()
    if (first) this.showAll(false)
  }

  setFleet(fleet: Fleet): void {
    this.fleet = fleet
    this.drawFleet()
  }

  setChoice(routeId: string | null, vehicleKey: string | null): void {
    if (routeId === this.chosen && vehicleKey === this.marked) return
    this.chosen = routeId
    this.marked = vehicleKey
    this.drawChoice()
  }

  /** The vehicles next to the marked one, which a hold would move. */
  setNeighbours(keys: string[]): void {
    if (keys.join() === this.neighbours.join()) return
    this.neighbours = keys
    this.drawChoice()
  }

  /** The vehicles that there is advice for. */
  setAdvised(keys: string[]): void {
    if (keys.join() === this.advised.join()) return
    this.advised = keys
    this.drawChoice()
  }

  showAll(animate: boolean): void {
    if (this.network) this.map.fitBounds(this.network.bounds, { padding: 28, animate, maxZoom: 15 })
  }

  showRoute(routeId: string, animate: boolean): void {
    const box: [number, number, number, number] = [180, 90, -180, -90]
    for (const { geometry, properties } of this.network?.lines.features ?? []) {
      if (properties.route_id !== routeId) continue
      const points = geometry.type === 'LineString' ? geometry.coordinates : geometry.coordinates.flat()
      for (const [lon = 0, lat = 0] of points) {
        box[0] = Math.min(box[0], lon)
        box[1] = Math.min(box[1], lat)
        box[2] = Math.max(box[2], lon)
        box[3] = Math.max(box[3], lat)
      }
    }
    if (box[0] <= box[2]) this.map.fitBounds(box, { padding: 48, animate, duration: 600, maxZoom: 15 })
  }

  showVehicle(key: string, animate: boolean): void {
    const vehicle = this.fleet?.vehicleByKey.get(key)
    if (!vehicle) return
    const { x, y } = this.map.project([vehicle.lon, vehicle.lat])
    const { clientWidth: width, clientHeight: height } = this.map.getContainer()
    const seen = x > 0 && y > 0 && x < width && y < height
    // The vehicle's card stands in the lower left corner; on a narrow map it is a sheet over the lower half.
    const wide = width > CARD.width + 120
    const covered = (!wide || x < CARD.width) && y > height - CARD.height
    if (seen && !covered) return
    const offset: [number, number] = wide ? [CARD.width / 2, 0] : [0, -height / 5]
    this.map.easeTo({ center: [vehicle.lon, vehicle.lat], offset, animate })
  }

  remove(): void {
    this.map.remove()
  }

  private source(name: string): GeoJSONSource | undefined {
    return this.loaded ? this.map.getSource<GeoJSONSource>(name) : undefined
  }

  private drawNetwork(): void {
    if (!this.network) return
    const palette = PALETTES[this.theme]
    const lines = this.network.lines.features.map((feature) => ({
      ...feature,
      properties: { ...feature.properties, paint: lineColor(colorOf(feature.properties.color, feature.properties.route_type), palette) },
    }))
    void this.source('lines')?.setData({ type: 'FeatureCollection', features: lines })
    void this.source('stops')?.setData(this.network.stops)
  }

  private drawFleet(): void {
    const source = this.source('vehicles')
    if (!source || !this.fleet) return
    const features: GeoJSON.Feature<GeoJSON.Point, VehicleProperties>[] = []
    for (const [key, vehicle] of this.fleet.vehicleByKey) {
      if (vehicle.state === 'silent') continue
      const state = this.fleet.headwayByKey.get(key)?.state ?? 'unknown'
      features.push({
        type: 'Feature',
        geometry: { type: 'Point', coordinates: [vehicle.lon, vehicle.lat] },
        properties: {
          key,
          name: shortId(vehicle.vehicle_id, this.fleet.prefix),
          route: vehicle.route_id ?? '',
          icon: iconName(state, vehicle.bearing_deg !== null),
          bearing: vehicle.bearing_deg ?? 0,
          rank: RANK[state],
        },
      })
    }
    void source.setData({ type: 'FeatureCollection', features })
  }

  private drawChoice(): void {
    if (!this.loaded) return
    const { map, chosen } = this
    const only = ['==', ['get', 'route_id'], chosen ?? ''] as ['==', ['get', string], string]
    map.setFilter('chosen', only)
    map.setFilter('chosen-case', only)
    map.setPaintProperty('lines', 'line-opacity', chosen === null ? 0.42 : 0.14)
    const share: number | ExpressionSpecification = chosen === null ? 1 : ['case', ['==', ['get', 'route'], chosen], 1, DIM]
    map.setPaintProperty('vehicles', 'icon-opacity', share)
    map.setPaintProperty('vehicle-names', 'text-opacity', share)
    map.setFilter('hovered', ['==', ['get', 'key'], this.marked ?? ''])
    map.setFilter('neighbours', ['in', ['get', 'key'], ['literal', this.neighbours]])
    map.setFilter('advised', ['in', ['get', 'key'], ['literal', this.advised]])
  }
}
