// The page: one screen, four panels; on a narrow screen one panel at a time.
import { useEffect } from 'preact/hooks'
import { getState, setState, useStore, type Tab } from './data/store'
import { useMessages } from './i18n'
import { Advice, countOpen } from './panels/advice'
import { Alerts } from './panels/alerts'
import { Dialogs, Notice } from './panels/dialogs'
import { Done } from './panels/done'
import { DegradedBanner, Header } from './panels/header'
import { Ladder } from './panels/ladder'
import { Lines } from './panels/lines'
import { MapPanel } from './panels/mapPanel'
import { PlaybackBar } from './panels/playbackBar'
import { VehicleCard } from './panels/vehicle'
import { pageTitle } from './ui/preferences'

const TABS: Tab[] = ['lines', 'map', 'ladder', 'alerts']

function Tabs({ open, advice }: { open: number; advice: number | null }) {
  const text = useMessages()
  const past = useStore((state) => state.past !== null)
  const tab = useStore((state) => state.tab)
  return (
    <nav class="tabs">
      {(advice === null ? TABS : [...TABS, 'advice' as const]).map((name) => (
        <button key={name} type="button" class="tabs__tab" aria-current={tab === name ? 'page' : undefined} onClick={() => setState({ tab: name })}>
          {name === 'advice' && past ? text.desk.past.doneTab : text.tabs[name]}
          {name === 'alerts' && open > 0 && <span class="pill">{open}</span>}
          {name === 'advice' && advice !== null && advice > 0 && <span class="pill pill--advice">{advice}</span>}
        </button>
      ))}
    </nav>
  )
}

export function App() {
  const tab = useStore((state) => state.tab)
  const desk = useStore((state) => state.desk)
  const language = useStore((state) => state.language)
  const name = useStore((state) => state.instance?.name)
  const open = useStore((state) => state.alerts?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  const advice = useStore((state) => (state.past ? state.past.decisions.length : state.advice ? countOpen(state.advice.advice) : null))
  const past = useStore((state) => state.past !== null)
  const openThen = useStore((state) => state.past?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  useEffect(() => {
    document.title = pageTitle(open)
  }, [open, language, name])
  useEffect(() => {
    if (advice === null && getState().tab === 'advice') setState({ tab: 'alerts' })
  }, [advice])
  return (
    <div class="page" data-tab={tab} data-desk={advice === null ? 'alerts' : desk} data-advice={advice === null ? 'false' : 'true'} data-past={past ? 'true' : 'false'}>
      <Header />
      <div class="banners">
        <DegradedBanner />
        <PlaybackBar />
      </div>
      <main class="main">
        <Lines />
        <MapPanel />
        {past ? <Done /> : <Advice />}
        <Alerts />
        <Ladder />
        <VehicleCard />
      </main>
      <Tabs open={past ? openThen : open} advice={advice} />
      <Notice />
      <Dialogs />
    </div>
  )
}
