// What can be bought, the ticket one looks at, and the payment for it.
import { useEffect, useState } from 'preact/hooks'
import { buy } from '../data/purchase'
import { loadShop } from '../data/shop'
import { setState, useStore } from '../data/store'
import type { Product } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { paymentForm, useSells } from '../payment/form'
import { EyeIcon, NextIcon, PhoneIcon } from '../ui/icons'
import { Sheet } from '../ui/sheet'
import { returns, rides, validity, where } from '../ui/words'
import { Outcome, Waiting } from './purchase'

export function Shop() {
  const text = useMessages()
  const products = useStore((state) => state.products)
  const failed = useStore((state) => state.productsFailed)
  const online = useStore((state) => state.online)
  const attempt = useStore((state) => state.attempt)
  const sells = useSells()
  useEffect(() => void loadShop(), [online])
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {sells ? text.shop : text.prices}
      </h1>
      {attempt && <Waiting attempt={attempt} />}
      {!online && <p class="note note--offline">{text.offlineShop}</p>}
      {!sells && <p class="note">{text.notSold}</p>}
      {products === null && !failed && <p class="empty">{text.loading}</p>}
      {failed && (
        <div class="empty">
          {online && <p>{text.productsFailed}</p>}
          <button type="button" class="button" onClick={() => void loadShop()}>
            {text.again}
          </button>
        </div>
      )}
      <ul class="offers">{products?.map((product) => <Offer key={product.id} product={product} sold={sells} />)}</ul>
    </>
  )
}

/** An offer leads to its payment, where there is one: nothing that cannot be bought looks as if it could. */
function Offer({ product, sold }: { product: Product; sold: boolean }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const inside = (
    <>
        <span class="offer__what">
          <b>{product.name[language]}</b>
          <small>{rides(product, text)}</small>
          {validity(product, text) && <small>{validity(product, text)}</small>}
          {sold && product.proof && (
            <small class="tag">
              <PhoneIcon /> {text.bound}
            </small>
          )}
        </span>
        <span class="offer__price">{format.money(product.price_minor, product.currency)}</span>
    </>
  )
  return (
    <li>
      {sold ? (
        <a class="offer" href={`#/buy/${encodeURIComponent(product.id)}`} data-product={product.id}>
          {inside}
          <NextIcon />
        </a>
      ) : (
        <div class="offer offer--price" data-product={product.id}>
          {inside}
        </div>
      )}
    </li>
  )
}

export function ProductView({ id }: { id: string }) {
  const text = useMessages()
  const products = useStore((state) => state.products)
  useEffect(() => void (products ?? loadShop()), [])
  const product = products?.find((one) => one.id === id)
  if (product) return <Checkout product={product} />
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {text.shop}
      </h1>
      <p class="empty">{products ? text.noSuchProduct : text.loading}</p>
    </>
  )
}

function Checkout({ product }: { product: Product }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const instance = useStore((state) => state.instance)
  const attempt = useStore((state) => state.attempt)
  const outcome = useStore((state) => state.outcome)
  const online = useStore((state) => state.online)
  const unable = useStore((state) => state.unable)
  const [paying, setPaying] = useState(false)
  useEffect(() => setState({ outcome: null }), [product.id])
  const Form = instance ? paymentForm(instance) : null
  const amount = format.money(product.price_minor, product.currency)
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {product.name[language]}
      </h1>
      <dl class="facts facts--boxed">
        <div>
          <dt>{text.left}</dt>
          <dd>{rides(product, text)}</dd>
        </div>
        {validity(product, text) && (
          <div>
            <dt>{text.valid}</dt>
            <dd>{validity(product, text)}</dd>
          </div>
        )}
        <div>
          <dt>{text.zones}</dt>
          <dd>{where(product, language, text)}</dd>
        </div>
        {product.refund && (
          <div>
            <dt>{text.returns}</dt>
            <dd>{returns(product.refund, text)}</dd>
          </div>
        )}
        <div class="facts__sum">
          <dt>{text.total}</dt>
          <dd>{amount}</dd>
        </div>
      </dl>
      {product.proof ? (
        <p class="note">
          <PhoneIcon /> <span>{text.boundHint}</span>
        </p>
      ) : (
        <p class="note note--warn">
          <EyeIcon /> <span>{text.unboundHint}</span>
        </p>
      )}
      {attempt && <Waiting attempt={attempt} />}
      {!attempt && <Outcome outcome={outcome} />}
      {!online && <p class="note note--offline">{text.offlineShop}</p>}
      {Form === null && <p class="note">{instance ? text.notSold : text.loading}</p>}
      {Form === null && instance && (
        <a class="button button--wide" href="#/buy">
          {text.prices}
        </a>
      )}
      {Form !== null && (
        <button type="button" class="button button--main button--wide" disabled={attempt !== null || unable !== null} onClick={() => setPaying(true)}>
          {text.pay(amount)}
        </button>
      )}
      {paying && Form && !attempt && (
        <Sheet labelledBy="sheet-title" onClose={() => setPaying(false)}>
          <Form
            product={product}
            merchant={instance?.name ?? ''}
            onCancel={() => setPaying(false)}
            onMethod={(token) => {
              setPaying(false)
              void buy(product, token)
            }}
          />
        </Sheet>
      )}
    </>
  )
}
