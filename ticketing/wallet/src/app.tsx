// The page: a head with the city's name, one view, and two tabs at the thumb.
import type { ComponentChildren } from 'preact'
import { setState, useStore, type View } from './data/store'
import { useMessages } from './i18n'
import { useSells } from './payment/form'
import { BackIcon, CartIcon, CloudOffIcon, ThemeIcon, TicketIcon } from './ui/icons'
import { toggleLanguage, toggleTheme } from './ui/preferences'
import { ReceiptView } from './views/receipt'
import { ProductView, Shop } from './views/shop'
import { Tickets } from './views/tickets'
import { TicketView } from './views/ticket'

/** Where the back button of a view leads. */
function parent(view: View): string | null {
  switch (view.at) {
    case 'product':
      return '#/buy'
    case 'ticket':
      return '#/'
    case 'receipt':
      return `#/t/${view.id}`
    case 'tickets':
    case 'shop':
      return null
  }
}

function Head({ view }: { view: View }) {
  const text = useMessages()
  const name = useStore((state) => state.instance?.name)
  const demo = useStore((state) => state.instance?.demo)
  const online = useStore((state) => state.online)
  const back = parent(view)
  return (
    <header class="head">
      {back === null ? (
        <span class="head__name">{name ?? text.title}</span>
      ) : (
        <a class="head__back" href={back}>
          <BackIcon /> {text.back}
        </a>
      )}
      {demo && online && <span class="head__demo">{text.demo}</span>}
      {!online && (
        <span class="offline" role="status">
          <CloudOffIcon /> {text.offline}
        </span>
      )}
      <span class="head__tools">
        <button type="button" class="head__tool" id="language" lang={text.language === 'In English' ? 'en' : 'uk'} aria-label={text.language} onClick={toggleLanguage}>
          {text.language === 'In English' ? 'EN' : 'УК'}
        </button>
        <button type="button" class="head__tool" id="theme" aria-label={text.theme} onClick={toggleTheme}>
          <ThemeIcon />
        </button>
      </span>
    </header>
  )
}

function Tab({ href, here, children }: { href: string; here: boolean; children: ComponentChildren }) {
  return (
    <a class="tabs__tab" href={href} aria-current={here ? 'page' : undefined} onClick={() => setState({ outcome: null })}>
      {children}
    </a>
  )
}

function Shown({ view }: { view: View }) {
  switch (view.at) {
    case 'tickets':
      return <Tickets />
    case 'shop':
      return <Shop />
    case 'product':
      return <ProductView id={view.id} />
    case 'ticket':
      return <TicketView id={view.id} />
    case 'receipt':
      return <ReceiptView id={view.id} />
  }
}

export function App() {
  const text = useMessages()
  const view = useStore((state) => state.view)
  const unable = useStore((state) => state.unable)
  const sells = useSells()
  const mine = view.at === 'tickets' || view.at === 'ticket' || view.at === 'receipt'
  return (
    <div class="page">
      <Head view={view} />
      <main class="main" data-view={view.at}>
        {unable && (
          <p class="outcome" role="alert">
            {text.unable[unable]}
          </p>
        )}
        <Shown view={view} />
      </main>
      <nav class="tabs" aria-label={text.title}>
        <Tab href="#/" here={mine}>
          <TicketIcon /> {text.tabs.tickets}
        </Tab>
        <Tab href="#/buy" here={!mine}>
          <CartIcon /> {sells ? text.tabs.shop : text.prices}
        </Tab>
      </nav>
    </div>
  )
}
