-- The schedule goes on.
obj.spec.suspend = false
return obj
