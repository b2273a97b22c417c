// The map in the page: joins the map object to the state.
import { useEffect, useRef, useState } from 'preact/hooks'
import { selectVehicle } from '../data/actions'
import { neighboursOf, vehicleKey } from '../data/derive'
import type { Advice } from '../data/deskTypes'
import { getState, setState, subscribe, useStore } from '../data/store'
import { messagesIn, useMessages } from '../i18n'
import { FleetMap } from '../map/fleetMap'
import { Freshness, Panel } from '../ui/freshness'
import { reducedMotion } from '../ui/preferences'

function start(container: HTMLElement): FleetMap {
  const state = getState()
  const map = new FleetMap(container, state.theme, state.instance?.tile_url ?? null, {
    onVehicle: selectVehicle,
    onHover: (key) => {
      if (getState().hoveredVehicle !== key) setState({ hoveredVehicle: key })
    },
  }, !reducedMotion.matches)
  return map
}

const advisedKeys = (advice: Advice[]): string[] => advice.filter((one) => one.state === 'open').map(vehicleKey)

/** Passes on only what has changed; the first call passes everything. */
function follow(map: FleetMap): () => void {
  let before = { ...getState(), map: null as unknown, fleet: null as unknown, selectedRoute: null as string | null, selectedVehicle: null as string | null }
  const update = () => {
    const state = getState()
    const animate = !reducedMotion.matches
    map.setWords(messagesIn(state.language))
    map.setTheme(state.theme, state.instance?.tile_url ?? null)
    if (state.map && state.map !== before.map) map.setNetwork(state.map)
    if (state.fleet !== before.fleet) map.setFleet(state.fleet)
    const marked = state.hoveredVehicle ?? state.selectedVehicle
    map.setChoice(state.selectedRoute, marked)
    if (state.fleet !== before.fleet || marked !== (before.hoveredVehicle ?? before.selectedVehicle)) map.setNeighbours(neighboursOf(state.fleet, marked))
    if (state.advice !== before.advice || state.past !== before.past) map.setAdvised(state.past ? [] : advisedKeys(state.advice?.advice ?? []))
    if (state.selectedRoute !== before.selectedRoute) {
      if (state.selectedRoute === null) map.showAll(animate)
      else if (state.selectedVehicle === null) map.showRoute(state.selectedRoute, animate)
    }
    if (state.selectedVehicle && state.selectedVehicle !== before.selectedVehicle) map.showVehicle(state.selectedVehicle, animate)
    before = state
  }
  update()
  return subscribe(update)
}

/** To the past, for who may see it. */
function PlaybackButton() {
  const text = useMessages().desk.past
  const signedIn = useStore((state) => state.session !== null)
  const inThePast = useStore((state) => state.past !== null)
  if (!signedIn || inThePast) return null
  return <button type="button" class="button button--small" title={`${text.title} (P)`} onClick={() => setState({ dialog: 'playback' })}>{text.button}</button>
}

export function MapPanel() {
  const text = useMessages()
  const container = useRef<HTMLDivElement>(null)
  const shown = useRef<FleetMap | null>(null)
  const [failed, setFailed] = useState(false)
  const ready = useStore((state) => state.instance !== null)
  useEffect(() => {
    if (!container.current || !ready) return
    let unsubscribe = () => undefined as void
    try {
      const map = start(container.current)
      shown.current = map
      unsubscribe = follow(map)
      // Tests and the curious may ask the map what it shows.
      Object.assign(window, { taktMap: map.map })
    } catch {
      setFailed(true)
    }
    return () => {
      unsubscribe()
      shown.current?.remove()
    }
  }, [ready])
  return (
    <Panel id="map" label={text.map} feed="vehicles" class="map">
      <div class="map__canvas" ref={container} />
      {failed && <p class="empty map__failed">{text.mapFailed}</p>}
      <div class="map__tools">
        <button type="button" class="button button--small" onClick={() => shown.current?.showAll(!reducedMotion.matches)}>{text.showAll}</button>
        <PlaybackButton />
        <Freshness feed="vehicles" />
      </div>
    </Panel>
  )
}
