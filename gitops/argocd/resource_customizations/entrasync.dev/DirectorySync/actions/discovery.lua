-- What can be done with a DirectorySync as it is now.
local suspended = obj.spec.suspend == true
local digest = nil
if obj.status ~= nil and obj.status.blockedPlan ~= nil then
  digest = obj.status.blockedPlan.digest
end
return {
  ["run-now"] = { displayName = "Run now" },
  ["suspend"] = { displayName = "Suspend", disabled = suspended },
  ["resume"] = { displayName = "Resume", disabled = not suspended },
  ["approve"] = {
    displayName = "Approve the blocked plan",
    disabled = digest == nil or digest == obj.spec.approvedPlan,
  },
}
