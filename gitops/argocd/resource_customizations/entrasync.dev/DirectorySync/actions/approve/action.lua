-- Lets exactly the changes that are blocked now through, once. Look at the plan first. Where the
-- application heals itself, put the digest into git instead: it would be taken back here.
if obj.status == nil or obj.status.blockedPlan == nil then
  error("no plan is blocked: there is nothing to approve")
end
obj.spec.approvedPlan = obj.status.blockedPlan.digest
return obj
