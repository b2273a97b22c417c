// The receipt of a ticket: what was bought, when and for how much; printed as it stands.
import { useStore } from '../data/store'
import { useFormat, useMessages } from '../i18n'

export function ReceiptView({ id }: { id: string }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const instance = useStore((state) => state.instance)
  const ticket = useStore((state) => state.tickets.find((one) => one.id === id) ?? null)
  if (!ticket) return <NoReceipt />
  const { receipt, standing } = ticket
  const name = (receipt?.product ?? ticket.product.name)[language]
  const currency = receipt?.currency ?? ticket.product.currency
  const amount = format.money(receipt?.amount_minor ?? ticket.product.price_minor, currency)
  const back = typeof standing?.refunded_minor === 'number' ? format.money(standing.refunded_minor, currency) : null
  const rows: [string, string][] = [
    [text.seller, instance?.name ?? ''],
    [text.bought, format.dated(receipt?.paid_at ?? ticket.boughtAt)],
    [text.validUntil, format.dated(ticket.validUntil)],
    [text.number, ticket.id],
    [text.purchase, receipt?.number ?? ticket.purchaseId],
  ]
  return (
    <article class="receipt">
      <h1 data-heading tabIndex={-1}>
        {text.receipt}
      </h1>
      <p class="receipt__what">
        <span>{name}</span>
        <b>{amount}</b>
      </p>
      <dl class="facts facts--lines">
        {rows.map(([what, value]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div class="facts__sum">
          <dt>{text.paid}</dt>
          <dd>{amount}</dd>
        </div>
        {back && (
          <div class="facts__sum">
            <dt>{standing?.refunded_at ? `${text.givenBack}, ${format.dated(standing.refunded_at)}` : text.givenBack}</dt>
            <dd>{back}</dd>
          </div>
        )}
      </dl>
      <button type="button" class="button button--wide" onClick={() => window.print()}>
        {text.print}
      </button>
    </article>
  )
}

function NoReceipt() {
  const text = useMessages()
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {text.receipt}
      </h1>
      <p class="empty">{text.noTicket}</p>
    </>
  )
}
