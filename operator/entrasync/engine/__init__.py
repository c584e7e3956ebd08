"""The sync itself: scope, flows, plan, brakes and export order; pure where it can be."""
