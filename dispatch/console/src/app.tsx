// The page: one screen, four panels; on a narrow screen one panel at a time.
import { useEffect } from 'preact/hooks'
import { setState, useStore, type Tab } from './data/store'
import { useMessages } from './i18n'
import { Alerts } from './panels/alerts'
import { Dialogs, Notice } from './panels/dialogs'
import { DegradedBanner, Header } from './panels/header'
import { Ladder } from './panels/ladder'
import { Lines } from './panels/lines'
import { MapPanel } from './panels/mapPanel'
import { VehicleCard } from './panels/vehicle'
import { pageTitle } from './ui/preferences'

const TABS: Tab[] = ['lines', 'map', 'ladder', 'alerts']

function Tabs({ open }: { open: number }) {
  const text = useMessages()
  const tab = useStore((state) => state.tab)
  return (
    <nav class="tabs">
      {TABS.map((name) => (
        <button key={name} type="button" class="tabs__tab" aria-current={tab === name ? 'page' : undefined} onClick={() => setState({ tab: name })}>
          {text.tabs[name]}
          {name === 'alerts' && open > 0 && <span class="pill">{open}</span>}
        </button>
      ))}
    </nav>
  )
}

export function App() {
  const tab = useStore((state) => state.tab)
  const language = useStore((state) => state.language)
  const name = useStore((state) => state.instance?.name)
  const open = useStore((state) => state.alerts?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  useEffect(() => {
    document.title = pageTitle(open)
  }, [open, language, name])
  return (
    <div class="page" data-tab={tab}>
      <Header />
      <DegradedBanner />
      <main class="main">
        <Lines />
        <MapPanel />
        <Alerts />
        <Ladder />
        <VehicleCard />
      </main>
      <Tabs open={open} />
      <Notice />
      <Dialogs />
    </div>
  )
}
