//! The kinds of operations. A new one is added here and in `dispatch.rs`, where the compiler asks for its arm.

/// What an operation changes outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Makes an org's customer at billing.
    CustomerEnsure,
    /// Subscribes an org to a price.
    SubscriptionCreate,
    /// Sets what an org's invoices are paid with.
    DefaultMethod,
    /// Takes a payment method away from an org.
    MethodDetach,
    /// Sets where an org is taxed, and by which tax ids.
    TaxSet,
    /// Makes a page where somebody subscribes.
    CheckoutCreate,
    /// Puts an org on a paid plan now.
    PlanUpgrade,
    /// Moves an org to the newest version of its plan.
    PlanMigrate,
    /// Schedules less for the end of an org's period.
    PlanDowngrade,
    /// Takes back what was scheduled.
    PlanKeep,
    /// Ends, pauses or resumes an org's subscription.
    SubscriptionEnd,
    /// Tells the plan mirror which org is on which plan.
    MirrorProvision,
    /// Makes a coupon.
    CouponCreate,
    /// Makes a promotion code.
    PromotionCreate,
    /// Gives credit.
    CreditGrant,
    /// Gives money back.
    RefundCreate,
    /// Takes a part of an invoice back.
    CreditNoteCreate,
    /// Sells units once.
    TopupBuy,
    /// Deletes the customer of an org that is erased.
    CustomerDelete,
    /// Takes the address of a person who is erased off a customer.
    CustomerForget,
    /// Tells whoever keeps the members of a member's new role, or that they are out.
    MemberChange,
    /// Does what a test says.
    #[cfg(test)]
    Probe,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Kind] = &[
        Kind::CustomerEnsure,
        Kind::SubscriptionCreate,
        Kind::DefaultMethod,
        Kind::MethodDetach,
        Kind::TaxSet,
        Kind::CheckoutCreate,
        Kind::PlanUpgrade,
        Kind::PlanMigrate,
        Kind::PlanDowngrade,
        Kind::PlanKeep,
        Kind::SubscriptionEnd,
        Kind::MirrorProvision,
        Kind::CouponCreate,
        Kind::PromotionCreate,
        Kind::CreditGrant,
        Kind::RefundCreate,
        Kind::CreditNoteCreate,
        Kind::TopupBuy,
        Kind::CustomerDelete,
        Kind::CustomerForget,
        Kind::MemberChange,
        #[cfg(test)]
        Kind::Probe,
    ];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::CustomerEnsure => "customer.ensure",
            Kind::SubscriptionCreate => "subscription.create",
            Kind::DefaultMethod => "default_method.set",
            Kind::MethodDetach => "method.detach",
            Kind::TaxSet => "tax.set",
            Kind::CheckoutCreate => "checkout.create",
            Kind::PlanUpgrade => "plan.upgrade",
            Kind::PlanMigrate => "plan.migrate",
            Kind::PlanDowngrade => "plan.downgrade",
            Kind::PlanKeep => "plan.keep",
            Kind::SubscriptionEnd => "subscription.end",
            Kind::MirrorProvision => "mirror_provision",
            Kind::CouponCreate => "coupons.create",
            Kind::PromotionCreate => "promotions.create",
            Kind::CreditGrant => "credits.grant",
            Kind::RefundCreate => "refunds.create",
            Kind::CreditNoteCreate => "credit-notes.create",
            Kind::TopupBuy => "topups.buy",
            Kind::CustomerDelete => "customer.delete",
            Kind::CustomerForget => "customer.forget",
            Kind::MemberChange => "member.change",
            #[cfg(test)]
            Kind::Probe => "probe",
        }
    }

    /// Reads the word; none for a kind of a newer program.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}
