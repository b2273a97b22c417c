// Language and theme: remembered when the browser allows it, else taken from its own preferences; shared with the console.
import { getState, setState, type Language, type Theme } from '../data/store'
import { messagesIn } from '../i18n'

function read(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

const darkPreferred = window.matchMedia('(prefers-color-scheme: dark)')

function show(theme: Theme, language: Language): void {
  document.documentElement.dataset['theme'] = theme
  document.documentElement.lang = language
  setState({ theme, language })
  showTitle()
}

/** The tab's title: the city's name and what this is. */
export function showTitle(): void {
  const { instance, language } = getState()
  document.title = [messagesIn(language).title, instance?.name].filter(Boolean).join(' · ')
}

export function startPreferences(): void {
  const theme = read('takt.theme')
  const language = read('takt.language')
  show(
    theme === 'light' || theme === 'dark' ? theme : darkPreferred.matches ? 'dark' : 'light',
    language === 'uk' || language === 'en' ? language : navigator.language.startsWith('uk') ? 'uk' : 'en',
  )
  darkPreferred.addEventListener('change', () => {
    if (read('takt.theme') === null) show(darkPreferred.matches ? 'dark' : 'light', getState().language)
  })
}

export function toggleTheme(): void {
  const theme = getState().theme === 'dark' ? 'light' : 'dark'
  write('takt.theme', theme)
  show(theme, getState().language)
}

export function toggleLanguage(): void {
  const language = getState().language === 'uk' ? 'en' : 'uk'
  write('takt.language', language)
  show(getState().theme, language)
}
